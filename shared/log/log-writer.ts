/**
 * Applies the operations of one commit to the database, in the writer's thread. What a commit changes in memory (log
 * ends, sizes, producer states) is staged beside the transaction and takes effect only after COMMIT returned; after a
 * rollback the stage is thrown away, so memory never leads the disk.
 */
import type { Database } from "better-sqlite3";
import { compress } from "../batch/compression.ts";
import { frameBatch, readBatchHeader, stampOffset } from "../batch/record-batch.ts";
import type { BatchHeader } from "../batch/record-batch.ts";
import type { Clock } from "../clock.ts";
import { crashPoint } from "../crash-point.ts";
import { StreamError } from "../errors.ts";
import type { Offset, Timestamp } from "../ids.ts";
import { invariant, unreachable } from "../invariant.ts";
import { AgeMarks } from "./age-marks.ts";
import type { ExtensionMethods } from "./extension.ts";
import { LogClock } from "./log-clock.ts";
import type { AppendedValue, CommitOperation, PartitionPlace, ReplaceBatches, StoredTopic } from "./log-messages.ts";
import type { ExtensionCall } from "./partitioned-log.ts";
import { judge, remember } from "./producer-state.ts";
import type { ProducerState } from "./producer-state.ts";
import { ProducerStates } from "./producer-states.ts";
import type { EndHole } from "./readable-ends.ts";
import { replaceBatches } from "./replace-batches.ts";
import { startForBytes } from "./retention.ts";
import { prepareStatements } from "./log-statements.ts";
import type { LogStatements, PartitionRow } from "./log-statements.ts";
import { OFFSET_MAX, batchKey } from "./schema.ts";
import { StartCounter } from "./start-counter.ts";

/** Smaller record sections do not gain enough from zstd to pay for the call. */
const COMPRESS_BYTES_MIN = 1024;
/** Compression must save at least this share, or the plain bytes are kept. */
const COMPRESS_GAIN_MIN = 0.1;

/** A partition as the writer knows it. */
type Place = {
  readonly id: number;
  readonly topic: string;
  readonly partition: number;
  logStartOffset: Offset;
  logEndOffset: Offset;
  bytes: number;
  /** Running maximum of all timestamps stored so far. */
  maxTimestamp: Timestamp;
};

type AppendRecords = Extract<CommitOperation, { type: "append-records" }>;
type AppendBatch = Extract<CommitOperation, { type: "append-batch" }>;

export type LogWriterParts = {
  readonly extensions: ReadonlyMap<string, ExtensionMethods>;
  readonly clock: Clock;
  /** Hears how many bytes a start has counted, now and then. */
  readonly onCounting: (bytes: number) => void;
};

export class LogWriter {
  readonly #database: Database;
  readonly #extensions: ReadonlyMap<string, ExtensionMethods>;
  readonly #statements: LogStatements;
  readonly #places = new Map<number, Place>();
  /** Copies of places that the open transaction changed; undefined for a partition it deleted. */
  #staged = new Map<number, Place | undefined>();
  /** Partitions that may hold batches before their log start. */
  readonly #sweepable = new Set<number>();
  #hasDoomed: boolean;
  readonly #endHoles: EndHole[] = [];
  readonly #clock: LogClock;
  readonly #marks: AgeMarks;
  readonly #producers: ProducerStates;
  /** Partitions whose size on the disk is behind. */
  readonly #uncounted = new Set<number>();
  #isCounted = false;

  constructor(database: Database, parts: LogWriterParts) {
    this.#database = database;
    this.#extensions = parts.extensions;
    this.#statements = prepareStatements(database);
    this.#clock = new LogClock(database, parts.clock);
    this.#marks = new AgeMarks(database, this.#clock);
    this.#producers = new ProducerStates(database, this.#clock);
    const counter = new StartCounter(this.#statements, parts.clock, parts.onCounting);
    for (const row of this.#statements.partitions.all()) {
      this.#places.set(row.id, this.#load(row, counter));
      this.#sweepable.add(row.id);
    }
    this.#hasDoomed = this.#statements.doomed.get() !== undefined;
  }

  get places(): PartitionPlace[] {
    return [...this.#places.values()].map(toPlace);
  }

  /** As the start found them. */
  get endHoles(): readonly EndHole[] {
    return this.#endHoles;
  }

  topics(): StoredTopic[] {
    return this.#statements.topics.all().map(({ name, id, config }) => ({
      name,
      id,
      config: JSON.parse(config) as Record<string, string>,
    }));
  }

  /** Whether a sweep may find something to free. */
  get needsSweep(): boolean {
    return this.#hasDoomed || this.#sweepable.size > 0;
  }

  begin(): void {
    this.#statements.begin.run();
  }

  /** After COMMIT: the stage becomes the truth. Returns the places that changed. */
  settle(): PartitionPlace[] {
    const changed: PartitionPlace[] = [];
    if (this.#isCounted) this.#uncounted.clear();
    for (const [id, place] of this.#staged) {
      this.#uncounted.add(id);
      if (place === undefined) {
        this.#places.delete(id);
      } else {
        this.#places.set(id, place);
        changed.push(toPlace(place));
      }
    }
    this.#producers.settle();
    this.discard();
    return changed;
  }

  discard(): void {
    this.#staged = new Map();
    this.#producers.discard();
    this.#isCounted = false;
  }

  apply(operation: CommitOperation, bytes: Buffer, now: Timestamp): unknown {
    switch (operation.type) {
      case "append-records":
        return this.#appendRecords(operation, bytes);
      case "append-batch":
        return this.#appendBatch(operation, bytes.subarray(operation.from, operation.to), now);
      case "call":
        return this.#call(operation.call);
      case "trim":
        return this.#trim(operation.partitionId, operation.before, operation.calls);
      case "retain":
        return this.#retain(operation);
      case "expired-end":
        return this.#expiredEnd(operation.partitionId, operation.ageMsMax);
      case "mark-age":
        return this.#marks.mark(this.#seen(operation.partitionId));
      case "replace-batches":
        return this.#replaceBatches(operation, bytes.subarray(operation.from, operation.to));
      case "compaction-checkpoint":
        return this.#saveCompaction(operation);
      case "create-topic":
        return this.#createTopic(operation.topic, operation.partitionCount);
      case "create-partitions":
        return this.#growTopic(operation.topic, operation.partitionCount);
      case "alter-topic":
        this.#statements.alterTopic.run(JSON.stringify(operation.config), operation.topic);
        return undefined;
      case "delete-topic":
        return this.#deleteTopic(operation.topic, operation.calls);
      case "expire-producers":
        return this.#producers.expire();
      case "barrier":
        return undefined;
      default:
        return unreachable(operation);
    }
  }

  get hasUncounted(): boolean {
    return this.#uncounted.size > 0;
  }

  /** Writes the sizes down, so that the next start need not count them. In a transaction of its own. */
  writeCounts(): void {
    for (const id of this.#uncounted) {
      const place = this.#places.get(id);
      if (place !== undefined) this.#statements.count.run(place.logEndOffset, place.bytes, place.id);
    }
    this.#clock.save();
    this.#isCounted = true;
  }

  /**
   * Frees batches that lie before their log start, or belong to deleted partitions; at most `rowsMax` at a time, so that
   * no transaction grows with the backlog. Within a transaction. False when there was nothing to free.
   */
  sweep(rowsMax: number): boolean {
    const doomed = this.#statements.doomed.get();
    if (doomed !== undefined) {
      const id = doomed.partition_id;
      const freed = this.#statements.sweep.run(batchKey(id, 0), batchKey(id, OFFSET_MAX), rowsMax);
      if (freed.changes < rowsMax) this.#statements.undoom.run(id);
      return true;
    }
    this.#hasDoomed = false;
    for (const id of this.#sweepable) {
      const place = this.#places.get(id);
      if (place !== undefined && this.#sweepPartition(place, rowsMax)) return true;
      this.#sweepable.delete(id);
    }
    return false;
  }

  #sweepPartition(place: Place, rowsMax: number): boolean {
    const rows = this.#statements.head.all(batchKey(place.id, 0), batchKey(place.id, place.logStartOffset), rowsMax);
    const gone = rows.filter((row) => row.base + row.delta < place.logStartOffset);
    const last = gone.at(-1);
    if (last === undefined) return false;
    this.#statements.sweep.run(batchKey(place.id, 0), batchKey(place.id, last.base), rowsMax);
    const bytes = place.bytes - gone.reduce((sum, row) => sum + row.bytes, 0);
    this.#staged.set(place.id, { ...place, bytes });
    this.#statements.count.run(place.logEndOffset, bytes, place.id);
    return true;
  }

  #load(row: PartitionRow, counter: StartCounter): Place {
    const last = this.#statements.last.get(batchKey(row.id, 0), batchKey(row.id, OFFSET_MAX));
    const end = last === undefined ? 0 : last.base + last.delta + 1;
    const uncounted = counter.count(row.id, row.counted_end);
    if (uncounted > 0) this.#uncounted.add(row.id);
    // After damage, what was counted may lie behind the last batch that is there: its offsets are not given out again.
    const logEndOffset = Math.max(end, row.log_start_offset, row.counted_end);
    const from = Math.max(end, row.log_start_offset);
    if (from < logEndOffset) this.#endHoles.push({ partitionId: row.id, from, logEndOffset });
    return {
      id: row.id,
      topic: row.topic,
      partition: row.partition,
      logStartOffset: row.log_start_offset,
      logEndOffset,
      bytes: row.counted_bytes + uncounted,
      maxTimestamp: last?.max_timestamp ?? 0,
    };
  }

  /** The partition as the open transaction sees it. */
  #seen(id: number): Readonly<Place> {
    const place = this.#staged.has(id) ? this.#staged.get(id) : this.#places.get(id);
    if (place === undefined) throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", "the partition was deleted");
    return place;
  }

  /** The same, ready to be changed. */
  #place(id: number): Place {
    const staged = this.#staged.get(id);
    if (staged !== undefined) return staged;
    const copy = { ...this.#seen(id) };
    this.#staged.set(id, copy);
    return copy;
  }

  #appendRecords(operation: AppendRecords, bytes: Buffer): AppendedValue {
    const place = this.#place(operation.partitionId);
    const plain = bytes.subarray(operation.from, operation.to);
    const packed = plain.length >= COMPRESS_BYTES_MIN ? compress("zstd", plain) : plain;
    const isGain = packed.length <= plain.length * (1 - COMPRESS_GAIN_MIN);
    const batch = frameBatch(
      {
        codec: isGain ? "zstd" : "none",
        lastOffsetDelta: operation.recordCount - 1,
        recordCount: operation.recordCount,
        baseTimestamp: operation.baseTimestamp,
        maxTimestamp: operation.maxTimestamp,
      },
      isGain ? packed : plain,
    );
    return this.#insert(place, batch, operation.recordCount - 1, operation.maxTimestamp);
  }

  #appendBatch({ partitionId, keepsProducer }: AppendBatch, batch: Buffer, now: Timestamp): AppendedValue {
    const place = this.#place(partitionId);
    const header = readBatchHeader(batch);
    const { producerId, lastOffsetDelta, maxTimestamp } = header;
    if (producerId < 0n) return this.#insert(place, batch, lastOffsetDelta, maxTimestamp);
    const known = this.#producers.get(partitionId, producerId);
    const { appended, state } = this.#appendIdempotent(place, batch, header, known);
    if (state !== undefined) this.#producers.save(partitionId, producerId, { state, isKept: keepsProducer, now });
    return appended;
  }

  /** `state`: what the batch has made of its producer's; undefined for one that is not new. */
  #appendIdempotent(
    place: Place,
    batch: Buffer,
    header: BatchHeader,
    state: ProducerState | undefined,
  ): { appended: AppendedValue; state: ProducerState | undefined } {
    const produced = {
      epoch: header.producerEpoch,
      baseSequence: header.baseSequence,
      recordCount: header.lastOffsetDelta + 1,
    };
    const verdict = judge(state, produced);
    switch (verdict.type) {
      case "duplicate":
        return {
          appended: {
            baseOffset: verdict.baseOffset,
            lastOffset: verdict.baseOffset + header.lastOffsetDelta,
            duplicate: true,
          },
          state: undefined,
        };
      case "fenced":
        throw new StreamError("INVALID_PRODUCER_EPOCH", `epoch ${header.producerEpoch} is older than ${state?.epoch}`);
      case "out-of-order":
        throw new StreamError(
          "OUT_OF_ORDER_SEQUENCE_NUMBER",
          `sequence ${header.baseSequence} where ${verdict.expected} follows, epoch ${header.producerEpoch}`,
        );
      case "accept":
        break;
      default:
        unreachable(verdict);
    }
    const appended = this.#insert(place, batch, header.lastOffsetDelta, header.maxTimestamp);
    return { appended, state: remember(state, produced, appended.baseOffset) };
  }

  #insert(place: Place, batch: Buffer, lastOffsetDelta: number, maxTimestamp: Timestamp): AppendedValue {
    const baseOffset = place.logEndOffset;
    const lastOffset = baseOffset + lastOffsetDelta;
    // A refusal of this append alone: what others ask for in the same commit is stored.
    if (lastOffset > OFFSET_MAX) throw new StreamError("INVALID_RECORD", `partition ${place.id} is out of offsets`);
    stampOffset(batch, baseOffset);
    place.maxTimestamp = Math.max(place.maxTimestamp, maxTimestamp);
    this.#statements.insert.run(batchKey(place.id, baseOffset), lastOffsetDelta, place.maxTimestamp, batch);
    place.logEndOffset = lastOffset + 1;
    place.bytes += batch.length;
    return { baseOffset, lastOffset, duplicate: false };
  }

  #trim(partitionId: number, before: Offset, calls: readonly ExtensionCall[] = []): Offset {
    const seen = this.#seen(partitionId);
    // First, so that nothing has happened when one of them is refused.
    for (const call of calls) this.#call(call);
    const start = Math.min(before, seen.logEndOffset);
    if (start > seen.logStartOffset) {
      const place = this.#place(partitionId);
      place.logStartOffset = start;
      this.#statements.start.run(start, place.id);
      this.#sweepable.add(place.id);
    }
    return Math.max(start, seen.logStartOffset);
  }

  #retain({ partitionId, bytesMax, ageMsMax }: Extract<CommitOperation, { type: "retain" }>): Offset {
    const place = this.#seen(partitionId);
    const start = Math.max(
      ageMsMax === undefined ? 0 : this.#expiredEnd(partitionId, ageMsMax),
      bytesMax === undefined || place.bytes <= bytesMax ? 0 : this.#startForBytes(place, bytesMax),
    );
    return start <= place.logStartOffset ? place.logStartOffset : this.#trim(partitionId, start);
  }

  #expiredEnd(partitionId: number, ageMsMax: number): Offset {
    return this.#marks.endAt(partitionId, this.#marks.mark(this.#seen(partitionId)) - ageMsMax) ?? 0;
  }

  #startForBytes({ id, bytes }: Place, bytesMax: number): Offset {
    const head = this.#statements.head.all(batchKey(id, 0), batchKey(id, OFFSET_MAX), RETAIN_BATCHES_MAX);
    const batches = head.map((row) => ({ lastOffset: row.base + row.delta, bytes: row.bytes }));
    return startForBytes(bytesMax, bytes, batches) ?? 0;
  }

  #replaceBatches({ partitionId, replacements }: ReplaceBatches, bytes: Buffer): void {
    const place = this.#place(partitionId);
    crashPoint("hub-before-replace");
    place.bytes += replaceBatches(this.#statements, place, replacements, bytes);
    // A batch that the log start had cut may end before it now.
    if (replacements.some(({ baseOffset }) => baseOffset < place.logStartOffset)) this.#sweepable.add(place.id);
    // Bytes that were counted before have changed: what the next start reads must say so too.
    this.#statements.count.run(place.logEndOffset, place.bytes, place.id);
  }

  #saveCompaction({ partitionId, checkpoint }: Extract<CommitOperation, { type: "compaction-checkpoint" }>): void {
    const { firstDirtyOffset, cleanFrom, cleanBytes, lastHorizon } = checkpoint;
    // Refused for a partition that was deleted meanwhile.
    this.#place(partitionId);
    this.#statements.saveCompaction.run(partitionId, firstDirtyOffset, cleanFrom, cleanBytes, lastHorizon ?? null);
  }

  #createTopic(topic: StoredTopic, partitionCount: number): PartitionPlace[] {
    if (this.#statements.topic.get(topic.name) !== undefined) {
      throw new StreamError("TOPIC_ALREADY_EXISTS", topic.name);
    }
    this.#statements.createTopic.run(topic.name, topic.id, JSON.stringify(topic.config));
    return this.#createPartitions(topic.name, 0, partitionCount);
  }

  #growTopic(topic: string, partitionCount: number): PartitionPlace[] {
    const from = this.#statements.partitionCount.get(topic)?.count ?? 0;
    if (from === 0) throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${topic} does not exist`);
    if (partitionCount <= from) {
      throw new StreamError("INVALID_PARTITIONS", `${topic} has ${from} partitions, ${partitionCount} is not more`);
    }
    return this.#createPartitions(topic, from, partitionCount);
  }

  #createPartitions(topic: string, from: number, to: number): PartitionPlace[] {
    const places: PartitionPlace[] = [];
    for (let partition = from; partition < to; partition++) {
      const id = Number(this.#statements.createPartition.run(topic, partition).lastInsertRowid);
      const place = { id, topic, partition, logStartOffset: 0, logEndOffset: 0, bytes: 0, maxTimestamp: 0 };
      this.#staged.set(id, place);
      places.push(toPlace(place));
    }
    return places;
  }

  /** By the transaction's own view: an earlier operation of this commit may have deleted it, or added partitions. */
  #deleteTopic(topic: string, calls: readonly ExtensionCall[]): void {
    if (this.#statements.topic.get(topic) === undefined) {
      throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${topic} does not exist`);
    }
    // First, so that nothing has happened when one of them is refused.
    for (const call of calls) this.#call(call);
    for (const { id } of this.#statements.partitionsOf.all(topic)) {
      this.#statements.doom.run(id);
      this.#hasDoomed = true;
      this.#statements.deletePartition.run(id);
      this.#producers.forget(id);
      this.#marks.forget(id);
      this.#statements.deleteCompaction.run(id);
      this.#staged.set(id, undefined);
    }
    this.#statements.deleteTopic.run(topic);
  }

  /** In a savepoint of its own: a refused call takes nothing else of the commit with it. */
  #call(call: ExtensionCall): unknown {
    const method = this.#extensions.get(call.extension)?.[call.method];
    invariant(method !== undefined, `the log has no method ${call.extension}.${call.method}`);
    this.#statements.savepoint.run();
    try {
      const value = method(call.args as never);
      this.#statements.release.run();
      return value;
    } catch (error) {
      if (this.#database.inTransaction) {
        this.#statements.rollbackTo.run();
        this.#statements.release.run();
      }
      if (!isOfTheDisk(error)) throw new StreamError("UNEXPECTED", String(error), { cause: error });
      throw error;
    }
  }
}

/** What takes a whole commit back, and perhaps the program down; anything else is a mistake of this one call. */
function isOfTheDisk(error: unknown): boolean {
  const code: unknown = (error as { code?: unknown }).code;
  return (
    typeof code === "string" && code.startsWith("SQLITE_") && !/^SQLITE_(CONSTRAINT|MISMATCH|RANGE|TOOBIG)/.test(code)
  );
}

/** One retention pass looks at so many batches of a partition; the next pass goes on. */
const RETAIN_BATCHES_MAX = 10_000;

function toPlace(place: Place): PartitionPlace {
  const { id, topic, partition, logStartOffset, logEndOffset, bytes } = place;
  return { id, topic, partition, logStartOffset, logEndOffset, bytes };
}
