/**
 * Packs: small frames of one moment in one message, compressed with what went before them on the connection. Where few
 * records come at a time, most of a message is what the last one said, too: names, numbers that count up, the header of
 * the batch. Each side keeps the same history, which begins with the connection.
 *
 *   message = 00 | deflate of {length : u16, frame}… (RFC 1951) | CRC-32C (frame-seal.ts)      a frame alone begins with A0 to BF
 *   history = the last PACK_HISTORY_BYTES of all that was packed: the dictionary of the next pack
 *
 * The deflated bytes end with a sync flush, whose four bytes 00 00 FF FF are left out, as in RFC 7692, section 7.2.1.
 *
 * In one call, and with a dictionary, because streams of zlib would take each message through another thread: on a busy
 * machine that costs milliseconds twice, where these take 50 µs to pack and 15 to unpack.
 */
import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { StreamError } from "../errors.ts";
import { releaseMemory } from "../release-memory.ts";
import { SEAL_BYTES, seal } from "./frame-seal.ts";

/** What a pack holds, at most; more goes into the next one. */
export const PACK_BYTES_MAX = 8 * 1024;
/** Twice as much gains a twentieth, and takes twice the time. */
export const PACK_HISTORY_BYTES = 16 * 1024;
/** Says that a message is a pack: no CBOR map begins with it. */
export const PACK_MARK = 0;

const MARK_BYTES = 1;
const LENGTH_BYTES = 2;
/** A window of the history. */
const WINDOW_BITS = 14;
const LEVEL = 9;
const MEMORY_LEVEL = 5;
const FLUSH_TAIL = Buffer.of(0, 0, 0xff, 0xff);

const zlibOptions = { windowBits: WINDOW_BITS, finishFlush: constants.Z_SYNC_FLUSH, chunkSize: 2048 } as const;

/** The end of everything that was added, in one piece. */
class History {
  #bytes: Buffer | undefined;
  #end = 0;

  /** What is an option of zlib. */
  get dictionary(): { readonly dictionary?: Buffer } {
    if (this.#bytes === undefined) return {};
    return { dictionary: this.#bytes.subarray(Math.max(0, this.#end - PACK_HISTORY_BYTES), this.#end) };
  }

  /** At most PACK_BYTES_MAX. */
  add(packed: Buffer): void {
    this.#bytes ??= Buffer.allocUnsafeSlow(PACK_HISTORY_BYTES + PACK_BYTES_MAX);
    if (this.#end + packed.length > this.#bytes.length) {
      this.#bytes.copyWithin(0, this.#end - PACK_HISTORY_BYTES, this.#end);
      this.#end = PACK_HISTORY_BYTES;
    }
    this.#bytes.set(packed, this.#end);
    this.#end += packed.length;
  }

  /** Gives the memory back, and begins anew. */
  release(): void {
    if (this.#bytes !== undefined) releaseMemory(this.#bytes);
    this.#bytes = undefined;
    this.#end = 0;
  }
}

export class FramePacker {
  readonly #history = new History();
  readonly #frames: Buffer[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#frames.length === 0;
  }

  /** Whether a frame of so many bytes still goes into this pack. */
  hasRoom(frameBytes: number): boolean {
    return this.#bytes + LENGTH_BYTES + frameBytes <= PACK_BYTES_MAX;
  }

  /** There must be room. */
  add(frame: Buffer): void {
    this.#frames.push(frame);
    this.#bytes += LENGTH_BYTES + frame.length;
  }

  /** The message of what was added, and the begin of the next pack. */
  take(): Buffer {
    const packed = Buffer.allocUnsafe(this.#bytes);
    let at = 0;
    for (const frame of this.#frames) {
      at = packed.writeUInt16BE(frame.length, at);
      packed.set(frame, at);
      at += frame.length;
    }
    this.#frames.length = 0;
    this.#bytes = 0;
    const settings = { ...zlibOptions, ...this.#history.dictionary, level: LEVEL, memLevel: MEMORY_LEVEL };
    const deflated = deflateRawSync(packed, settings);
    this.#history.add(packed);
    const deflatedBytes = deflated.length - FLUSH_TAIL.length;
    const message = Buffer.allocUnsafe(MARK_BYTES + deflatedBytes + SEAL_BYTES);
    message[0] = PACK_MARK;
    message.set(deflated.subarray(0, deflatedBytes), MARK_BYTES);
    seal(message);
    releaseMemory(deflated);
    return message;
  }

  /** The connection has ended. */
  close(): void {
    this.#history.release();
  }
}

export class FrameUnpacker {
  readonly #history = new History();

  /**
   * The frames of a message whose seal is right and was taken off: views of memory of their own.
   *
   * @throws StreamError PROTOCOL_VIOLATION.
   */
  unpack(message: Buffer): readonly Buffer[] {
    const packed = this.#inflate(Buffer.concat([message.subarray(MARK_BYTES), FLUSH_TAIL]));
    this.#history.add(packed);
    const frames: Buffer[] = [];
    for (let at = 0; at < packed.length;) {
      const start = at + LENGTH_BYTES;
      const end = start > packed.length ? Infinity : start + packed.readUInt16BE(at);
      if (end > packed.length) throw new StreamError("PROTOCOL_VIOLATION", "a pack ends within a frame");
      frames.push(packed.subarray(start, end));
      at = end;
    }
    return frames;
  }

  /** The connection has ended. */
  close(): void {
    this.#history.release();
  }

  #inflate(deflated: Buffer): Buffer {
    try {
      const settings = { ...zlibOptions, ...this.#history.dictionary, maxOutputLength: PACK_BYTES_MAX };
      const inflated = inflateRawSync(deflated, settings);
      // It lies in a larger piece of memory, which a batch would hold on to.
      const packed = Buffer.from(inflated);
      releaseMemory(inflated);
      return packed;
    } catch (error) {
      throw new StreamError("PROTOCOL_VIOLATION", "a pack that cannot be inflated", { cause: error });
    }
  }
}
