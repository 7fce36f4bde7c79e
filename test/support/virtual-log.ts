/**
 * The agent's log as the uplink sees it, in memory: stored batches of numbered records, and the uplink's real tables on
 * an in-memory database. A record's number stands in its timestamp.
 */
import Database from "better-sqlite3";
import { ledgerTable } from "../../agent/ledger/ledger-table.ts";
import { epochTable } from "../../agent/uplink/epoch-table.ts";
import type { UplinkLog } from "../../agent/uplink/epoch-store.ts";
import { stampOffset } from "../../shared/batch/record-batch.ts";
import { encodeRecords, recordPositions } from "../../shared/batch/records.ts";
import type { ExtensionMethods } from "../../shared/log/extension.ts";
import type { ExtensionCall, LogPartition, LogTopic, MergedBatch } from "../../shared/log/partitioned-log.ts";

/** Of a record of these tests, for the partitions' sizes. */
const RECORD_BYTES = 20;

type StoredBatch = { readonly baseOffset: number; readonly numbers: readonly number[]; readonly isDamaged: boolean };

export class VirtualPartition implements LogPartition {
  readonly id: number;
  readonly topic: string;
  readonly partition: number;
  logStartOffset = 0;
  batches: StoredBatch[] = [];

  constructor(id: number, topic: string, partition: number) {
    this.id = id;
    this.topic = topic;
    this.partition = partition;
  }

  get logEndOffset(): number {
    const last = this.batches.at(-1);
    return last === undefined ? this.logStartOffset : last.baseOffset + last.numbers.length;
  }

  get bytes(): number {
    return this.batches.reduce((sum, { numbers }) => sum + numbers.length * RECORD_BYTES, 0);
  }
}

const extensions = [epochTable, ledgerTable];

function prepared(database: Database.Database): ReadonlyMap<string, ExtensionMethods> {
  return new Map(extensions.map(({ name, prepare }) => [name, prepare(database)]));
}

export type LogImage = { readonly tables: Buffer; readonly partitions: readonly VirtualPartition[] };

export class VirtualLog implements UplinkLog {
  readonly topics = new Map<string, LogTopic & { partitions: VirtualPartition[] }>();
  readonly #listeners = new Set<(changed: readonly LogPartition[]) => void>();
  #database = new Database(":memory:");
  #methods: ReadonlyMap<string, ExtensionMethods>;
  #nextId = 1;
  /** Stored batches that one read joins at the most. */
  joinMax = 3;
  callFailure: Error | undefined;

  constructor() {
    for (const { schema } of extensions) this.#database.exec(schema);
    this.#methods = prepared(this.#database);
  }

  createTopic(name: string, partitionCount: number): void {
    const topic = this.topics.get(name) ?? { name, id: Buffer.alloc(16), partitions: [], config: {} };
    while (topic.partitions.length < partitionCount) {
      topic.partitions.push(new VirtualPartition(this.#nextId++, name, topic.partitions.length));
    }
    this.topics.set(name, topic);
  }

  partition(topic: string, partition: number): VirtualPartition {
    const found = this.topics.get(topic)?.partitions[partition];
    if (found === undefined) throw new Error(`no ${topic}/${partition}`);
    return found;
  }

  /** One stored batch. Returns its first offset. */
  append(partition: VirtualPartition, numbers: readonly number[], isDamaged = false): number {
    const baseOffset = partition.logEndOffset;
    partition.batches.push({ baseOffset, numbers, isDamaged });
    this.announce(partition);
    return baseOffset;
  }

  announce(partition: VirtualPartition): void {
    for (const listener of this.#listeners) listener([partition]);
  }

  /** The disk forgot what was written last. */
  loseTail(partition: VirtualPartition, batchCount: number): readonly number[] {
    const count = Math.min(batchCount, partition.batches.length - 1);
    return count <= 0 ? [] : partition.batches.splice(-count).flatMap(({ numbers }) => numbers);
  }

  async trim(partition: LogPartition, before: number): Promise<void> {
    const own = this.partition(partition.topic, partition.partition);
    own.logStartOffset = Math.max(own.logStartOffset, Math.min(before, own.logEndOffset));
    own.batches = own.batches.filter(
      ({ baseOffset, numbers }) =>
        baseOffset + numbers.length > own.logStartOffset || baseOffset === own.logStartOffset,
    );
    this.announce(own);
  }

  async readMerged(request: {
    partition: LogPartition;
    offset: number;
    bytesMax: number;
    isSplit?: boolean;
    end?: number | undefined;
  }) {
    const { partition, offset, bytesMax, isSplit = false, end = Infinity } = request;
    const recordsMax = isSplit ? Math.max(1, Math.floor(bytesMax / RECORD_BYTES)) : Infinity;
    const joinMax = bytesMax <= 1 ? 1 : this.joinMax;
    return readJoined(this.partition(partition.topic, partition.partition), offset, { joinMax, recordsMax, end });
  }

  async call(calls: readonly ExtensionCall[]): Promise<unknown[]> {
    if (this.callFailure !== undefined) throw this.callFailure;
    const cloned = structuredClone(calls);
    const run = this.#database.transaction(() => cloned.map((each) => this.#run(each)));
    return structuredClone(run());
  }

  async query(call: ExtensionCall): Promise<unknown> {
    return structuredClone(this.#run(structuredClone(call)));
  }

  #run({ extension, method, args }: ExtensionCall): unknown {
    return this.#methods.get(extension)?.[method]?.(args as never);
  }

  onCommit(listener: (changed: readonly LogPartition[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  takeImage(): LogImage {
    const partitions = [...this.topics.values()].flatMap((topic) => topic.partitions.map(copyPartition));
    return { tables: this.#database.serialize(), partitions };
  }

  restore({ tables, partitions }: LogImage): void {
    this.#database.close();
    this.#database = new Database(tables);
    this.#methods = prepared(this.#database);
    for (const { topic, partition, batches, logStartOffset } of partitions.map(copyPartition)) {
      Object.assign(this.partition(topic, partition), { batches, logStartOffset });
    }
  }
}

/** Numbers of the records in a batch, in order. */
export function numbersOf(batch: Buffer): number[] {
  return Array.from(recordPositions(batch), ({ timestamp }) => timestamp);
}

function readJoined(
  partition: VirtualPartition,
  offset: number,
  { joinMax, recordsMax, end }: { readonly joinMax: number; readonly recordsMax: number; readonly end: number },
): MergedBatch | undefined {
  const sound = partition.batches.filter((each) => !each.isDamaged && each.baseOffset + each.numbers.length > offset);
  const [first] = sound;
  if (first === undefined) return undefined;
  const baseOffset = Math.max(offset, first.baseOffset);
  if (baseOffset >= end) return undefined;
  const numbers: number[] = [];
  for (const each of sound.slice(0, joinMax)) {
    if (numbers.length > 0 && each.baseOffset !== baseOffset + numbers.length) break;
    numbers.push(...each.numbers.slice(Math.max(0, baseOffset - each.baseOffset)));
  }
  numbers.splice(Math.min(recordsMax, end - baseOffset));
  const batch = encodeRecords(numbers.map((timestamp) => ({ timestamp, key: null, value: null })));
  stampOffset(batch, baseOffset);
  return { batch, baseOffset, lastOffset: baseOffset + numbers.length - 1, recordCount: numbers.length };
}

function copyPartition(source: VirtualPartition): VirtualPartition {
  const copy = new VirtualPartition(source.id, source.topic, source.partition);
  copy.logStartOffset = source.logStartOffset;
  copy.batches = source.batches.map((batch) => ({ ...batch }));
  return copy;
}
