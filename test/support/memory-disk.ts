/**
 * The disk under an agent's log, in memory: what was committed, what of it was flushed, and what a power cut leaves. The
 * records are real batches, and the agent's own tables stand in a real database. One process at a time uses it, through
 * memory-log.ts.
 */
import Database from "better-sqlite3";
import { duplicateExtension } from "../../agent/ingest/duplicate-window-blocks.ts";
import { qosTwoExtension } from "../../agent/ingest/qos-two-packets.ts";
import { ledgerTable } from "../../agent/ledger/ledger-table.ts";
import type { LossRow } from "../../agent/ledger/loss-row.ts";
import { clockTable } from "../../agent/time/clock-table.ts";
import { epochTable } from "../../agent/uplink/epoch-table.ts";
import { BatchMerger } from "../../shared/batch/merge.ts";
import { readBatchHeader, stampOffset } from "../../shared/batch/record-batch.ts";
import { closeBatch } from "../../shared/batch/records.ts";
import { StreamError } from "../../shared/errors.ts";
import { toFailure } from "../../shared/thread-failure.ts";
import type { Offset } from "../../shared/ids.ts";
import type { Commit } from "../../shared/log/commit-gatherer.ts";
import type { ExtensionMethods } from "../../shared/log/extension.ts";
import type { CommitOperation, OperationResult, PartitionPlace } from "../../shared/log/log-messages.ts";
import type { ExtensionCall, MergedBatch, MergeRequest } from "../../shared/log/partitioned-log.ts";
import { Upkeep } from "../../shared/log/upkeep.ts";
import type { LossReason } from "../../shared/uplink/frames.ts";

export type StoredBatch = { readonly baseOffset: Offset; readonly lastOffset: Offset; readonly batch: Buffer };

export type Trimmed = { readonly from: Offset; readonly end: Offset; readonly reason: LossReason | undefined };

export type StoredPartition = {
  readonly id: number;
  readonly topic: string;
  readonly partition: number;
  /** What is not trimmed. */
  batches: StoredBatch[];
  /** What was trimmed, and why, as far as it was noted. Ends are exclusive. */
  trims: Trimmed[];
  /** Everything that was ever stored and not forgotten, for the judge. */
  everything: StoredBatch[];
  logStartOffset: Offset;
  logEndOffset: Offset;
};

type Image = { readonly tables: Buffer; readonly partitions: readonly StoredPartition[] };
type Stored = { readonly results: readonly OperationResult[]; readonly changed: readonly PartitionPlace[] };

const fullDisk = toFailure(new StreamError("LOG_FULL", "no room, says the test"));
const extensions = [epochTable, ledgerTable, clockTable, qosTwoExtension, duplicateExtension];

export class MemoryDisk {
  #database = new Database(":memory:");
  #methods: ReadonlyMap<string, ExtensionMethods>;
  readonly #upkeep: Upkeep;
  #partitions: StoredPartition[] = [];
  /** What is left of it all by a power cut; undefined while everything is flushed. */
  #flushed: Image | undefined;

  constructor() {
    for (const { schema } of extensions) this.#database.exec(schema);
    this.#methods = prepared(this.#database);
    this.#upkeep = new Upkeep(extensions, this.#methods);
  }

  get partitions(): readonly StoredPartition[] {
    return this.#partitions;
  }

  get usedBytes(): number {
    return this.#partitions.reduce((sum, partition) => sum + placeOf(partition).bytes, 0);
  }

  /**
   * One transaction; flushed at its end if that was asked for. `isFull`: only upkeep is taken, the rest is refused
   * one by one, as writer-server.ts does.
   */
  store({ operations, bytes, durability }: Commit, isFull = false): Stored {
    if (durability === "os") this.#flushed ??= this.#takeImage();
    else this.#flushed = undefined;
    const changed = new Set<StoredPartition>();
    const isUpkeep = this.#upkeep.of(operations);
    const run = this.#database.transaction(() =>
      operations.map((operation) =>
        isFull && !isUpkeep(operation) ? { failure: fullDisk } : { value: this.#run(operation, bytes, changed) },
      ),
    );
    return { results: run(), changed: [...changed].map(placeOf) };
  }

  /** Returns whether anything is gone. */
  cutPower(): boolean {
    const image = this.#flushed;
    if (image === undefined) return false;
    this.#database.close();
    this.#database = new Database(image.tables);
    this.#methods = prepared(this.#database);
    this.#partitions = image.partitions.map(copyOf);
    this.#flushed = undefined;
    return true;
  }

  query(call: ExtensionCall): unknown {
    return structuredClone(this.#call(structuredClone(call)));
  }

  readMerged({ partition: { id }, offset, bytesMax, sessions, end }: MergeRequest): MergedBatch | undefined {
    const merger = new BatchMerger(offset, { sessions, end });
    for (const { lastOffset, batch } of this.#partition(id).batches) {
      if (lastOffset < offset) continue;
      if (!merger.continuesWith(batch) || merger.bytes >= bytesMax) break;
      merger.add(batch, bytesMax);
    }
    if (merger.recordCount === 0) return undefined;
    const { recordCount, baseOffset } = merger;
    const batch = closeBatch(merger.take(), "none");
    stampOffset(batch, baseOffset);
    return { batch, baseOffset, lastOffset: baseOffset + recordCount - 1, recordCount };
  }

  close(): void {
    this.#database.close();
  }

  #run(operation: CommitOperation, bytes: ArrayBuffer, changed: Set<StoredPartition>): unknown {
    switch (operation.type) {
      case "append-records": {
        const { partitionId, from, to, recordCount, baseTimestamp, maxTimestamp } = operation;
        const buffer = bytes.slice(from, to);
        const batch = closeBatch({ buffer, bytes: to - from, recordCount, baseTimestamp, maxTimestamp }, "none");
        const partition = this.#partition(partitionId);
        changed.add(partition);
        return append(partition, batch);
      }
      case "trim": {
        const partition = this.#partition(operation.partitionId);
        changed.add(partition);
        for (const call of operation.calls) this.#call(call);
        trim(partition, operation);
        return undefined;
      }
      case "create-topic": {
        const { topic, partitionCount } = operation;
        const made = Array.from({ length: partitionCount }, (_, partition) => {
          const id = this.#partitions.length + 1 + partition;
          const ends = { logStartOffset: 0, logEndOffset: 0 };
          return { id, topic: topic.name, partition, batches: [], trims: [], everything: [], ...ends };
        });
        this.#partitions.push(...made);
        return made.map(placeOf);
      }
      case "call":
        return structuredClone(this.#call(operation.call));
      case "barrier":
        return undefined;
      default:
        throw new Error(`this disk knows no ${operation.type}`);
    }
  }

  #call({ extension, method, args }: ExtensionCall): unknown {
    const run = this.#methods.get(extension)?.[method];
    if (run === undefined) throw new Error(`no method ${extension}.${method}`);
    return run(args as never);
  }

  #partition(id: number): StoredPartition {
    const found = this.#partitions.find((each) => each.id === id);
    if (found === undefined) throw new Error(`no partition ${id}`);
    return found;
  }

  #takeImage(): Image {
    return { tables: this.#database.serialize(), partitions: this.#partitions.map(copyOf) };
  }
}

function prepared(database: Database.Database): ReadonlyMap<string, ExtensionMethods> {
  return new Map(extensions.map(({ name, prepare }) => [name, prepare(database)]));
}

function trim(partition: StoredPartition, { before, calls }: Extract<CommitOperation, { type: "trim" }>): void {
  const from = partition.logStartOffset;
  const end = Math.max(from, Math.min(before, partition.logEndOffset));
  const [row] = calls.flatMap(({ args }) => args as readonly LossRow[]);
  partition.trims.push({ from, end, reason: row?.reason });
  partition.logStartOffset = end;
  partition.batches = partition.batches.filter(({ lastOffset }) => lastOffset >= end);
}

function append(partition: StoredPartition, batch: Buffer): unknown {
  const baseOffset = partition.logEndOffset;
  stampOffset(batch, baseOffset);
  const lastOffset = baseOffset + readBatchHeader(batch).lastOffsetDelta;
  const stored = { baseOffset, lastOffset, batch };
  partition.batches.push(stored);
  partition.everything.push(stored);
  partition.logEndOffset = lastOffset + 1;
  return { baseOffset, lastOffset, duplicate: false };
}

export function placeOf({ id, topic, partition, batches, ...ends }: StoredPartition): PartitionPlace {
  const bytes = batches.reduce((sum, { batch }) => sum + batch.length, 0);
  return { id, topic, partition, logStartOffset: ends.logStartOffset, logEndOffset: ends.logEndOffset, bytes };
}

function copyOf(source: StoredPartition): StoredPartition {
  const { batches, trims, everything } = source;
  return { ...source, batches: [...batches], trims: [...trims], everything: [...everything] };
}
