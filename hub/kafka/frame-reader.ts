/**
 * Cuts the byte stream of one connection into request frames: int32 length, then that many bytes.
 *
 * A frame that lies within one chunk is handed out as a view of it; one that spans chunks is gathered in a buffer that
 * grows with what has arrived, never with what the length claims.
 */
import { StreamError } from "../../shared/errors.ts";

const FRAME_LENGTH_BYTES = 4;
/** api key, version and correlation id: no request is shorter. */
export const FRAME_BYTES_MIN = 8;
const GATHER_INITIAL_BYTES = 64 * 1024;
const GATHER_GROWTH = 4;
const TLS_HANDSHAKE = 0x16;

export class FrameReader {
  #frameBytesMin = FRAME_BYTES_MIN;
  #frameBytesMax: number;
  /** Chunks not yet looked at; more than one only while the connection has stopped reading. */
  readonly #chunks: Buffer[] = [];
  /** Read position in the first of them. */
  #at = 0;
  readonly #length = Buffer.alloc(FRAME_LENGTH_BYTES);
  #lengthBytes = 0;
  #frameBytes = 0;
  #gathered: Buffer | undefined;
  #gatheredBytes = 0;

  constructor(frameBytesMax: number) {
    this.#frameBytesMax = frameBytesMax;
  }

  /** For the frames that are not begun yet: a login has other limits than what comes after it. */
  setLimits(bytesMin: number, bytesMax: number): void {
    this.#frameBytesMin = bytesMin;
    this.#frameBytesMax = bytesMax;
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  /**
   * The next complete frame without its length, or undefined until more bytes come.
   *
   * @throws StreamError INVALID_REQUEST when the length cannot be that of a request, PROTOCOL_VIOLATION when the peer
   * speaks TLS or HTTP. The stream cannot be read on after that.
   */
  next(): Buffer | undefined {
    for (;;) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) return undefined;
      if (this.#at === chunk.length) {
        this.#chunks.shift();
        this.#at = 0;
        continue;
      }
      if (this.#lengthBytes < FRAME_LENGTH_BYTES) {
        this.#readLength(chunk);
        continue;
      }
      const frame = this.#readBody(chunk);
      if (frame !== undefined) return frame;
    }
  }

  #readLength(chunk: Buffer): void {
    const copied = chunk.copy(this.#length, this.#lengthBytes, this.#at);
    this.#at += copied;
    this.#lengthBytes += copied;
    if (this.#length[0] === TLS_HANDSHAKE) {
      throw new StreamError("PROTOCOL_VIOLATION", "the client speaks TLS on a listener without it");
    }
    if (this.#lengthBytes < FRAME_LENGTH_BYTES) return;
    this.#frameBytes = this.#length.readInt32BE(0);
    if (this.#frameBytes >= this.#frameBytesMin && this.#frameBytes <= this.#frameBytesMax) return;
    const text = this.#length.toString("latin1");
    if (/^[A-Z]{3,4} ?$/.test(text)) {
      throw new StreamError("PROTOCOL_VIOLATION", `the client speaks HTTP ("${text.trim()}") on the Kafka listener`);
    }
    throw new StreamError(
      "INVALID_REQUEST",
      `a request of ${this.#frameBytes} bytes; ${this.#frameBytesMin} to ${this.#frameBytesMax} are allowed`,
    );
  }

  #readBody(chunk: Buffer): Buffer | undefined {
    const available = chunk.length - this.#at;
    if (this.#gathered === undefined && available >= this.#frameBytes) {
      const frame = chunk.subarray(this.#at, this.#at + this.#frameBytes);
      this.#at += this.#frameBytes;
      this.#lengthBytes = 0;
      return frame;
    }
    const bytes = Math.min(available, this.#frameBytes - this.#gatheredBytes);
    const target = this.#gatherRoom(bytes);
    chunk.copy(target, this.#gatheredBytes, this.#at, this.#at + bytes);
    this.#at += bytes;
    this.#gatheredBytes += bytes;
    if (this.#gatheredBytes < this.#frameBytes) return undefined;
    const frame = target.subarray(0, this.#frameBytes);
    this.#gathered = undefined;
    this.#gatheredBytes = 0;
    this.#lengthBytes = 0;
    return frame;
  }

  #gatherRoom(bytes: number): Buffer {
    const needed = this.#gatheredBytes + bytes;
    const current = this.#gathered;
    if (current !== undefined && needed <= current.length) return current;
    const wanted = current === undefined ? GATHER_INITIAL_BYTES : current.length * GATHER_GROWTH;
    const grown = Buffer.allocUnsafeSlow(Math.min(this.#frameBytes, Math.max(needed, wanted)));
    if (current !== undefined) current.copy(grown, 0, 0, this.#gatheredBytes);
    this.#gathered = grown;
    return grown;
  }
}
