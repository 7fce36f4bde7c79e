/**
 * Joins consecutive batches into one: "commit small, ship big". Records keep their bytes but for the two deltas at their
 * front, which become relative to the joined batch.
 *
 *   [10: a b][12: c][13: d e f]   from 11   ▶   [11: b c d e f]
 *
 * With `end`, records from there on are left out. With `header`, each record gets it.
 * With `sessions`, timestamps of a gateway without a clock become real ones here, and the record says so in a header.
 *
 * Offsets that the source lacks stay absent only at the front; a hole between two batches ends the join, because dense
 * offsets are what the hub's sequence numbers count.
 */
import type { Offset, Timestamp } from "../ids.ts";
import { invariant } from "../invariant.ts";
import { releaseMemory } from "../release-memory.ts";
import { encodeHeader, withHeader } from "./added-header.ts";
import type { EncodedHeader } from "./added-header.ts";
import { isProvisional, resolveTimestamp } from "./provisional-time.ts";
import type { ClockSession, TimeQuality } from "./provisional-time.ts";
import { isLogAppendTime, readBatchHeader } from "./record-batch.ts";
import { recordEnd, recordsSection } from "./records.ts";
import { VarintReader, varintBytes, writeVarint } from "./varint.ts";
import type { OpenBatch } from "./batch-builder.ts";

/** The two deltas of a record may each grow by this when they are written anew. */
const DELTA_GROWTH_BYTES_MAX = 16;
export const QUALITY_HEADER = "time.quality";
const qualityHeaders: Readonly<Record<TimeQuality, EncodedHeader>> = {
  corrected: encodeHeader(QUALITY_HEADER, "corrected"),
  estimated: encodeHeader(QUALITY_HEADER, "estimated"),
};
/** The count of headers may take more bytes with one header more. */
const HEADER_COUNT_BYTES_MAX = 4;
const QUALITY_BYTES_MAX = qualityHeaders.corrected.length + HEADER_COUNT_BYTES_MAX;
export const MEMORY_BYTES_MIN = 64 * 1024;

export type MergeOptions = {
  /** Of an earlier join, to be written over. */
  readonly memory?: Uint8Array<ArrayBuffer> | undefined;
  /** Of the clock, where there may be provisional timestamps. */
  readonly sessions?: readonly ClockSession[] | undefined;
  /** Exclusive. */
  readonly end?: Offset | undefined;
  /** Added to every record. */
  readonly header?: EncodedHeader | undefined;
};

export class BatchMerger {
  readonly #from: Offset;
  readonly #end: Offset;
  readonly #header: EncodedHeader | undefined;
  readonly #addedBytesMax: number;
  readonly #sessions: readonly ClockSession[] | undefined;
  #target: Uint8Array<ArrayBuffer>;
  #at = 0;
  #count = 0;
  #baseOffset = 0;
  #baseTimestamp: Timestamp = 0;
  #maxTimestamp: Timestamp = 0;

  /** Records before `from` are left out. */
  constructor(from: Offset, { memory, sessions, end, header }: MergeOptions = {}) {
    this.#from = from;
    this.#end = end ?? Infinity;
    this.#sessions = sessions;
    this.#header = header;
    this.#addedBytesMax =
      DELTA_GROWTH_BYTES_MAX +
      (sessions === undefined ? 0 : QUALITY_BYTES_MAX) +
      (header === undefined ? 0 : header.length + HEADER_COUNT_BYTES_MAX);
    this.#target = memory ?? new Uint8Array(MEMORY_BYTES_MIN);
  }

  /** Where the records lie, perhaps larger than what was given. */
  get memory(): Uint8Array<ArrayBuffer> {
    return this.#target;
  }

  get bytes(): number {
    return this.#at;
  }

  get recordCount(): number {
    return this.#count;
  }

  get baseOffset(): Offset {
    return this.#baseOffset;
  }

  /** Whether `batch` continues exactly where the join ends. */
  continuesWith(batch: Buffer): boolean {
    return this.#count === 0 || Number(batch.readBigInt64BE(0)) === this.#baseOffset + this.#count;
  }

  /** Stops behind the record with which the join reaches `bytesMax`. */
  add(batch: Buffer, bytesMax = Infinity): void {
    const header = readBatchHeader(batch);
    const section = recordsSection(batch, header);
    const reader = new VarintReader(section);
    // Room for every record of this batch at its largest, so that the loop below need not look.
    this.#makeRoom(section.length + header.recordCount * this.#addedBytesMax);
    for (let index = 0; index < header.recordCount && this.#at < bytesMax; index++) {
      const end = recordEnd(reader);
      reader.at++;
      const delta = reader.int64();
      const offset = header.baseOffset + reader.int32();
      if (offset >= this.#end) break;
      if (offset >= this.#from) {
        const timestamp = isLogAppendTime(header) ? header.maxTimestamp : header.baseTimestamp + delta;
        const stored = section.subarray(reader.at, end);
        const rest = this.#header === undefined ? stored : withHeader(stored, this.#header);
        if (this.#sessions === undefined || !isProvisional(timestamp)) this.#addRecord(offset, timestamp, rest);
        else {
          const { timestamp: time, quality } = resolveTimestamp(timestamp, this.#sessions);
          this.#addRecord(offset, time, quality === undefined ? rest : withHeader(rest, qualityHeaders[quality]));
        }
      }
      reader.at = end;
    }
    // What was decompressed is copied.
    if (section.buffer !== batch.buffer) releaseMemory(section);
  }

  take(): OpenBatch {
    invariant(this.#count > 0, "nothing to join");
    const buffer = this.#target.buffer;
    return {
      buffer,
      bytes: this.#at,
      recordCount: this.#count,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: this.#maxTimestamp,
    };
  }

  #addRecord(offset: Offset, timestamp: Timestamp, rest: Uint8Array): void {
    if (this.#count === 0) {
      this.#baseOffset = offset;
      this.#baseTimestamp = timestamp;
      this.#maxTimestamp = timestamp;
    } else if (timestamp > this.#maxTimestamp) {
      this.#maxTimestamp = timestamp;
    }
    invariant(offset === this.#baseOffset + this.#count, `offset ${offset} leaves a hole within a batch`);
    const timestampDelta = timestamp - this.#baseTimestamp;
    const target = this.#target;
    let at = writeVarint(target, this.#at, 1 + varintBytes(timestampDelta) + varintBytes(this.#count) + rest.length);
    target[at++] = 0;
    at = writeVarint(target, at, timestampDelta);
    at = writeVarint(target, at, this.#count);
    target.set(rest, at);
    this.#at = at + rest.length;
    this.#count++;
  }

  #makeRoom(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#target.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#target.length * 2));
    grown.set(this.#target.subarray(0, this.#at));
    this.#target = grown;
  }
}
