/** Follows packets by their fixed headers, whatever they are, over chunks that begin and end anywhere. Pure. */

const LENGTH_BYTES_MAX = 4;

export class PacketCut {
  /** Of the packet under way; 0 between packets. */
  #headerBytes = 0;
  #isInBody = false;
  /** Remaining length while it is read, then what is still to come of the body. */
  #bodyBytes = 0;

  /** The next byte begins a packet. */
  get isBetweenPackets(): boolean {
    return this.#headerBytes === 0;
  }

  /**
   * Where in `chunk` the packet ends whose next byte is at `at`; the chunk's end when it does not end there. A length
   * that breaks [MQTT-2.2.3] counts as it stands: the guard has ended such a connection.
   */
  follow(chunk: Uint8Array, at: number): number {
    let next = at;
    while (!this.#isInBody) {
      if (next >= chunk.length) return chunk.length;
      this.#readHeader(chunk[next++] as number);
    }
    const skipped = Math.min(this.#bodyBytes, chunk.length - next);
    this.#bodyBytes -= skipped;
    if (this.#bodyBytes === 0) {
      this.#headerBytes = 0;
      this.#isInBody = false;
    }
    return next + skipped;
  }

  #readHeader(byte: number): void {
    // Its first byte says nothing of its length.
    if (this.#headerBytes > 0) {
      this.#bodyBytes += (byte & 0x7f) * 2 ** (7 * (this.#headerBytes - 1));
      this.#isInBody = byte < 0x80 || this.#headerBytes >= LENGTH_BYTES_MAX;
    }
    this.#headerBytes++;
  }
}
