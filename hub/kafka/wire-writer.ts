/**
 * Writes one response frame: small fields into one growing buffer, record batches by reference, so that a Fetch
 * response is a list [head, batch, fields, batch, …] for one writev and stored bytes are never copied.
 *
 *   buffer   [length|header|fields ……]······[fields ……]······
 *   chunks    └── view ──────────────┘ batch └── view ─┘ batch
 */
import { StreamError } from "../../shared/errors.ts";
import { invariant } from "../../shared/invariant.ts";

export type Frame = { readonly chunks: readonly Buffer[]; readonly bytes: number };

const FRAME_LENGTH_BYTES = 4;
const INITIAL_BYTES = 512;
/** Below this a copy is cheaper than one more element of a writev. */
const BLOB_COPY_BYTES_MAX = 512;
/** Far beyond what handlers produce; a guard against a request that multiplies itself. */
export const RESPONSE_BYTES_MAX = 64 * 1024 * 1024;
const UINT32_COUNT = 2 ** 32;

export class WireWriter {
  #buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  /** Where the part of the buffer begins that is not yet in `#chunks`. */
  #from = 0;
  #at = FRAME_LENGTH_BYTES;
  readonly #chunks: Buffer[] = [];
  #chunkBytes = 0;

  boolean(value: boolean): void {
    this.int8(value ? 1 : 0);
  }

  int8(value: number): void {
    const at = this.#take(1);
    this.#buffer.writeInt8(value, at);
  }

  int16(value: number): void {
    const at = this.#take(2);
    this.#buffer.writeInt16BE(value, at);
  }

  int32(value: number): void {
    const at = this.#take(4);
    this.#buffer.writeInt32BE(value, at);
  }

  int64(value: number): void {
    const high = Math.floor(value / UINT32_COUNT);
    const at = this.#take(8);
    this.#buffer.writeInt32BE(high, at);
    this.#buffer.writeUInt32BE(value - high * UINT32_COUNT, at + 4);
  }

  bigint64(value: bigint): void {
    const at = this.#take(8);
    this.#buffer.writeBigInt64BE(value, at);
  }

  uvarint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      const at = this.#take(1);
      this.#buffer[at] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    const at = this.#take(1);
    this.#buffer[at] = rest;
  }

  string(value: string | null, compact: boolean): void {
    if (value === null) return this.#nullLength(compact, 2);
    const length = Buffer.byteLength(value);
    if (compact) this.uvarint(length + 1);
    else this.int16(length);
    const at = this.#take(length);
    this.#buffer.write(value, at, length, "utf8");
  }

  bytes(value: Uint8Array | null, compact: boolean): void {
    if (value === null) return this.#nullLength(compact, 4);
    if (compact) this.uvarint(value.length + 1);
    else this.int32(value.length);
    this.raw(value);
  }

  /** One field of whole batches; large ones go out by reference and must not change until they are sent. */
  records(batches: readonly Buffer[] | null, compact: boolean): void {
    if (batches === null) return this.#nullLength(compact, 4);
    let bytes = 0;
    for (const batch of batches) bytes += batch.length;
    if (compact) this.uvarint(bytes + 1);
    else this.int32(bytes);
    for (const batch of batches) {
      if (batch.length <= BLOB_COPY_BYTES_MAX) this.raw(batch);
      else this.#reference(batch);
    }
  }

  count(count: number | null, compact: boolean): void {
    if (count === null) return this.#nullLength(compact, 4);
    if (compact) this.uvarint(count + 1);
    else this.int32(count);
  }

  raw(value: Uint8Array): void {
    const at = this.#take(value.length);
    this.#buffer.set(value, at);
  }

  /** What was written since construction, without the frame's length: for the value of a tagged field. */
  takeBody(): Buffer {
    const { chunks } = this.finish();
    return Buffer.concat(chunks).subarray(FRAME_LENGTH_BYTES);
  }

  /** The frame with its length in front. Ends the writer's life. */
  finish(): Frame {
    this.#closeChunk();
    const head = this.#chunks[0];
    invariant(head !== undefined, "a frame begins with its length");
    head.writeInt32BE(this.#chunkBytes - FRAME_LENGTH_BYTES, 0);
    return { chunks: this.#chunks, bytes: this.#chunkBytes };
  }

  #nullLength(compact: boolean, bytes: 2 | 4): void {
    if (compact) this.uvarint(0);
    else if (bytes === 2) this.int16(-1);
    else this.int32(-1);
  }

  #reference(blob: Buffer): void {
    this.#closeChunk();
    this.#chunks.push(blob);
    this.#chunkBytes += blob.length;
    this.#checkBytes(0);
  }

  #closeChunk(): void {
    if (this.#at === this.#from) return;
    this.#chunks.push(this.#buffer.subarray(this.#from, this.#at));
    this.#chunkBytes += this.#at - this.#from;
    this.#from = this.#at;
  }

  /** Makes room for `bytes` and returns where they go. */
  #take(bytes: number): number {
    if (this.#at + bytes > this.#buffer.length) this.#grow(bytes);
    const at = this.#at;
    this.#at = at + bytes;
    return at;
  }

  /** What is in chunks already stays in the old buffer. */
  #grow(bytes: number): void {
    this.#checkBytes(bytes);
    const open = this.#at - this.#from;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, open + bytes));
    this.#buffer.copy(grown, 0, this.#from, this.#at);
    this.#buffer = grown;
    this.#from = 0;
    this.#at = open;
  }

  #checkBytes(more: number): void {
    if (this.#chunkBytes + (this.#at - this.#from) + more > RESPONSE_BYTES_MAX) {
      throw new StreamError("MESSAGE_TOO_LARGE", `a response of more than ${RESPONSE_BYTES_MAX} bytes`);
    }
  }
}
