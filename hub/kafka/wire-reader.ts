/**
 * Reads the primitives of the Kafka protocol from one request frame. The bytes come from outside: every length is
 * checked against the end of the frame before anything is sliced, and nothing is allocated from a length that is only
 * claimed.
 *
 *   string  int16 length, UTF-8; -1 is null          compact: uvarint length + 1; 0 is null
 *   bytes   int32 length; -1 is null                 compact: uvarint length + 1; 0 is null
 *   array   int32 count, elements; -1 is null        compact: uvarint count + 1; 0 is null
 *   uuid    16 bytes
 *
 * Every method throws StreamError INVALID_REQUEST when the frame ends first or a value cannot be right.
 */
import { StreamError } from "../../shared/errors.ts";

const UVARINT_BYTES_MAX = 5;
const UINT32_COUNT = 2 ** 32;
export const UUID_BYTES = 16;
/** Kafka's own bound: an int16 length, in compact strings too. */
const STRING_BYTES_MAX = 32_767;
/** Elements of all arrays of one request: each becomes an object some thirty times its size on the wire. */
export const REQUEST_ELEMENTS_MAX = 100_000;

const malformed = (message: string): StreamError => new StreamError("INVALID_REQUEST", message);

export class WireReader {
  readonly #frame: Buffer;
  readonly #end: number;
  #at: number;
  #elementsLeft = REQUEST_ELEMENTS_MAX;

  constructor(frame: Buffer, at = 0) {
    this.#frame = frame;
    this.#end = frame.length;
    this.#at = at;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  boolean(): boolean {
    return this.int8() !== 0;
  }

  int8(): number {
    return this.#frame.readInt8(this.#take(1));
  }

  int16(): number {
    return this.#frame.readInt16BE(this.#take(2));
  }

  int32(): number {
    return this.#frame.readInt32BE(this.#take(4));
  }

  /** Exact up to 2^53 (docs/adr/0003-numbers-not-bigints.md). */
  int64(): number {
    const at = this.#take(8);
    return this.#frame.readInt32BE(at) * UINT32_COUNT + this.#frame.readUInt32BE(at + 4);
  }

  bigint64(): bigint {
    return this.#frame.readBigInt64BE(this.#take(8));
  }

  uvarint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < UVARINT_BYTES_MAX; i++) {
      const byte = this.#frame[this.#take(1)] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value >= UINT32_COUNT) break;
        return value;
      }
      scale *= 0x80;
    }
    throw malformed(`a varint before ${this.#at} is longer than 32 bits`);
  }

  uuid(): Buffer {
    return this.#view(UUID_BYTES);
  }

  string(compact: boolean): string | null {
    const length = compact ? this.uvarint() - 1 : this.int16();
    if (length === -1) return null;
    if (length > STRING_BYTES_MAX) throw malformed(`a string of ${length} bytes`);
    const from = this.#take(length);
    return this.#frame.toString("utf8", from, from + length);
  }

  /** A copy: what handlers keep (group metadata) must not keep the whole frame alive. */
  bytes(compact: boolean): Buffer | null {
    const view = this.records(compact);
    return view === null ? null : Buffer.from(view);
  }

  /** A view into the frame. */
  records(compact: boolean): Buffer | null {
    const length = compact ? this.uvarint() - 1 : this.int32();
    return length === -1 ? null : this.#view(length);
  }

  /** The count of an array whose elements take `elementBytesMin` bytes at least; -1 stands for null. */
  count(compact: boolean, elementBytesMin: number): number {
    const count = compact ? this.uvarint() - 1 : this.int32();
    if (count === -1) return count;
    if (count < 0 || count * elementBytesMin > this.remaining) {
      throw malformed(`an array of ${count} elements in ${this.remaining} bytes`);
    }
    this.#elementsLeft -= count;
    if (this.#elementsLeft < 0) throw malformed(`more than ${REQUEST_ELEMENTS_MAX} array elements`);
    return count;
  }

  /**
   * Reads a section of tagged fields (KIP-482). `known` gets each with a reader of its own; what it does not read is
   * skipped.
   */
  tags(known?: (tag: number, reader: WireReader) => void): void {
    const count = this.uvarint();
    if (count * 2 > this.remaining) throw malformed(`${count} tagged fields in ${this.remaining} bytes`);
    for (let i = 0; i < count; i++) {
      const tag = this.uvarint();
      const value = this.#view(this.uvarint());
      if (known === undefined) continue;
      const reader = new WireReader(value);
      reader.#elementsLeft = this.#elementsLeft;
      known(tag, reader);
      this.#elementsLeft = reader.#elementsLeft;
    }
  }

  #view(length: number): Buffer {
    const from = this.#take(length);
    return this.#frame.subarray(from, from + length);
  }

  /** Moves past `length` bytes and returns where they begin. */
  #take(length: number): number {
    const from = this.#at;
    if (length < 0 || length > this.#end - from) {
      throw malformed(`${length} bytes wanted, ${this.#end - from} left in the request`);
    }
    this.#at = from + length;
    return from;
  }
}
