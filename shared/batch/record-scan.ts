/**
 * Walks over the records of a batch and stops at each key: what compaction and the check of keys need to know of a
 * record, without taking it apart. One scanner a batch; its fields describe the record that `next` stepped on.
 *
 * Strict where compaction depends on it: offsets ascend and stay within the batch, keys and values within their record,
 * and the records fill the batch. A producer could otherwise pretend a key's newest value at an offset of somebody else.
 */
import { StreamError } from "../errors.ts";
import type { BatchHeader } from "./record-batch.ts";
import { recordEnd } from "./records.ts";
import { VarintReader } from "./varint.ts";

export class RecordScanner {
  readonly #section: Buffer;
  readonly #header: BatchHeader;
  readonly #reader: VarintReader;
  #index = 0;
  /** The record's bytes in the section, its length varint included. */
  start = 0;
  end = 0;
  attributes = 0;
  timestampDelta = 0;
  offsetDelta = -1;
  /** Where the record goes on after its two deltas: with the length of its key. */
  restAt = 0;
  hasKey = false;
  hasValue = false;
  #keyFrom = 0;
  #keyTo = 0;

  /** `section`: the plain records of the batch, see `recordsSection`. */
  constructor(section: Buffer, header: BatchHeader) {
    this.#section = section;
    this.#header = header;
    this.#reader = new VarintReader(section);
  }

  /** A view into the section; null for a record without a key. */
  get key(): Buffer | null {
    return this.hasKey ? this.#section.subarray(this.#keyFrom, this.#keyTo) : null;
  }

  /** Steps on the next record; false after the last. @throws StreamError CORRUPT_RECORD. */
  next(): boolean {
    const reader = this.#reader;
    if (this.#index === this.#header.recordCount) {
      if (reader.at !== this.#section.length) throw new StreamError("CORRUPT_RECORD", "bytes after the last record");
      return false;
    }
    this.#index++;
    this.start = reader.at;
    this.end = recordEnd(reader);
    this.attributes = this.#section[reader.at++] as number;
    this.timestampDelta = reader.int64();
    this.#stepOffset(reader.int32());
    this.restAt = reader.at;
    const keyLength = reader.int32();
    this.#keyFrom = reader.at;
    this.#skip(keyLength);
    this.#keyTo = reader.at;
    this.hasKey = keyLength >= 0;
    const valueLength = reader.int32();
    this.#skip(valueLength);
    this.hasValue = valueLength >= 0;
    // Headers follow; nobody who scans looks at them.
    reader.at = this.end;
    return true;
  }

  #stepOffset(offsetDelta: number): void {
    if (offsetDelta <= this.offsetDelta || offsetDelta > this.#header.lastOffsetDelta) {
      throw new StreamError("CORRUPT_RECORD", `offset delta ${offsetDelta} after ${this.offsetDelta}`);
    }
    this.offsetDelta = offsetDelta;
  }

  #skip(length: number): void {
    if (length < -1 || this.#reader.at + length > this.end) {
      throw new StreamError("CORRUPT_RECORD", `a field of ${length} bytes`);
    }
    if (length > 0) this.#reader.at += length;
  }
}
