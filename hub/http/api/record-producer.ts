/**
 * From records to batches in the log: each goes to its partition as Kafka's own producers would send it, and what the topic
 * asks of producers is asked here too.
 *
 *   records ▶ by partition ▶ batches within max.message.bytes ▶ checked ▶ appended, one after the other
 */
import type { BatchHeader } from "../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../shared/batch/records.ts";
import { partitionForKey } from "../../../shared/batch/partitioner.ts";
import { StreamError } from "../../../shared/errors.ts";
import type { Offset, Partition } from "../../../shared/ids.ts";
import type { Acks, NewRecord } from "../../../shared/record.ts";
import type { TopicInfo } from "../../engine/engine.ts";
import { checkProduced } from "../../topics/produce-check.ts";
import { storedForm } from "../../topics/stored-form.ts";
import { produceSettings } from "../../topics/topic-configs.ts";
import type { ApiServices } from "./services.ts";

export type PlacedRecord = NewRecord & { readonly partition: Partition | undefined };

export type StoredRange = { readonly partition: Partition; readonly offset: Offset; readonly records: number };

/** What a batch may hold of its topic's limit before compression: headers and lengths come on top. */
const BATCH_SHARE = 0.9;
/** Beside key and value: lengths, deltas, attributes. */
const RECORD_OVERHEAD_BYTES = 32;
/** As Kafka's own producers say it. */
const PRODUCE_VERSION = 13;

type PreparedBatch = { readonly batch: Buffer; readonly header: BatchHeader; readonly records: number };
export type Prepared = { readonly partition: Partition; readonly batches: readonly PreparedBatch[] };
type Outcome = { readonly stored: readonly StoredRange[]; readonly error: StreamError | undefined };

type Services = Pick<ApiServices, "engine" | "clock" | "rules">;

/** Of one request: records without a key stay together in one partition, the next request's in the next one. */
export class RecordProducer {
  readonly #services: Services;
  readonly #topic: TopicInfo;
  readonly #acks: Acks;
  readonly #keyless: Partition;

  /** `turn`: any number that grows from request to request. */
  constructor(services: Services, { topic, acks, turn }: { topic: TopicInfo; acks: Acks; turn: number }) {
    this.#services = services;
    this.#topic = topic;
    this.#acks = acks;
    this.#keyless = turn % topic.partitionCount;
  }

  /**
   * Makes and checks all batches before the first is appended: what is wrong with one record is known before any is stored.
   *
   * @throws StreamError INVALID_RECORD, INVALID_TIMESTAMP, MESSAGE_TOO_LARGE, UNKNOWN_TOPIC_OR_PARTITION.
   */
  prepare(records: readonly PlacedRecord[]): readonly Prepared[] {
    const byPartition = Map.groupBy(records, (record) => this.#partitionOf(record));
    return [...byPartition].map(([partition, own]) => ({
      partition,
      batches: this.#batchesOf(own).map((batch) => this.#batchOf(batch)),
    }));
  }

  /**
   * Resolves when all of it is stored as `acks` says; the ranges are those of the batches. Partitions are independent of each
   * other: where one fails, `details.stored` of the error says what the others took.
   *
   * @throws StreamError UNKNOWN_TOPIC_OR_PARTITION, LOG_FULL, LOG_IO, CLOSING.
   */
  async store(prepared: readonly Prepared[]): Promise<readonly StoredRange[]> {
    const outcomes = await Promise.all(prepared.map((each) => this.#append(each)));
    const stored = outcomes.flatMap((outcome) => outcome.stored);
    const failed = outcomes.find(({ error }) => error !== undefined)?.error;
    if (failed === undefined) return stored;
    const { code, reason, hint, details } = failed;
    throw new StreamError(code, reason, { cause: failed, hint, details: { ...details, stored } });
  }

  #partitionOf({ partition, key }: PlacedRecord): Partition {
    const { name, partitionCount } = this.#topic;
    if (partition === undefined) return key === null ? this.#keyless : partitionForKey(key, partitionCount);
    if (partition < partitionCount) return partition;
    throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${name} has no partition ${partition}`);
  }

  get #settings() {
    return produceSettings(this.#topic.config, this.#services.rules.topicDefaults);
  }

  #batchesOf(records: readonly NewRecord[]): readonly (readonly NewRecord[])[] {
    const bytesMax = this.#settings.batchBytesMax * BATCH_SHARE;
    const batches: NewRecord[][] = [];
    let bytes = Infinity;
    for (const record of records) {
      const size = sizeOf(record);
      if (bytes + size > bytesMax) {
        batches.push([]);
        bytes = 0;
      }
      batches.at(-1)?.push(record);
      bytes += size;
    }
    return batches;
  }

  #batchOf(records: readonly NewRecord[]): PreparedBatch {
    const settings = this.#settings;
    const now = this.#services.clock.wallMs();
    const produced = encodeRecords(records, settings.codec ?? "none");
    const checked = checkProduced(produced, { settings, produceVersion: PRODUCE_VERSION, now });
    return { ...storedForm(produced, checked, { settings, now }), records: records.length };
  }

  /** One batch after the other, so that what is stored before a failure is the beginning. */
  async #append({ partition, batches }: Prepared): Promise<Outcome> {
    const at = { topic: this.#topic.name, partition };
    const durability = this.#acks === "all" ? "fsync" : "os";
    const stored: StoredRange[] = [];
    try {
      for (const { batch, header, records } of batches) {
        const { baseOffset } = await this.#services.engine.append({ ...at, batch, header, durability });
        stored.push({ partition, offset: baseOffset, records });
      }
      return { stored, error: undefined };
    } catch (error) {
      if (error instanceof StreamError) return { stored, error };
      throw error;
    }
  }
}

function sizeOf({ key, value, headers = [] }: NewRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += header.key.length * 3 + (header.value?.length ?? 0);
  return bytes;
}
