/**
 * Sends records to one topic in the order they are given. What gathers while a batch is on its way makes the next one,
 * so a single line goes out at once and a flood in large batches.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { ProduceAcks, Producer } from "@platformatic/kafka";
import type { Codec } from "../../shared/batch/record-batch.ts";
import { StreamError } from "../../shared/errors.ts";
import type { Acks } from "../../shared/record.ts";
import { UsageError } from "../failure.ts";
import type { HubAccess } from "./access.ts";
import { clientOptions, toHubFailure, withAdmin } from "./connect.ts";
import { readTopicRanges } from "./topic-offsets.ts";

export type RecordToSend = {
  readonly key: string | undefined;
  readonly value: string;
  readonly headers: readonly { readonly key: string; readonly value: string }[];
};

export type SenderOptions = {
  readonly address: HubAccess;
  readonly topic: string;
  readonly acks: Acks;
  readonly compression: Codec;
  /** Undefined: what the key says, or in turn. */
  readonly partition: number | undefined;
};

/** What may wait while a batch is on its way; then `add` waits. */
const WAITING_RECORD_COUNT_MAX = 5000;
const WAITING_BYTES_MAX = 512 * 1024;

const acksValues = {
  all: ProduceAcks.ALL,
  leader: ProduceAcks.LEADER,
  none: ProduceAcks.NO_RESPONSE,
} as const satisfies Record<Acks, number>;

export class RecordSender {
  readonly #options: SenderOptions;
  readonly #producer: Producer;
  #waiting: RecordToSend[] = [];
  #waitingBytes = 0;
  #inFlight: Promise<void> | undefined;
  #failure: Error | undefined;
  #sentCount = 0;

  private constructor(options: SenderOptions) {
    this.#options = options;
    this.#producer = new Producer({
      ...clientOptions(options.address),
      acks: acksValues[options.acks],
      // Lets the hub recognise a batch that is sent again because its answer was lost.
      idempotent: options.acks === "all",
      compression: options.compression,
    });
  }

  /** @throws StreamError HUB_UNREACHABLE, UNKNOWN_TOPIC_OR_PARTITION. */
  static async open(options: SenderOptions): Promise<RecordSender> {
    const [range] = await withAdmin(options.address, (admin) => readTopicRanges(admin, [options.topic]));
    const count = range?.partitions.length ?? 0;
    if (options.partition !== undefined && options.partition >= count) {
      throw new UsageError(`'${options.topic}' has the partitions 0 to ${count - 1}, not ${options.partition}`);
    }
    return new RecordSender(options);
  }

  /** Acknowledged by the hub. */
  get sentCount(): number {
    return this.#sentCount;
  }

  /** Resolves when there is room for more. @throws StreamError of an earlier batch. */
  async add(record: RecordToSend): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    this.#waiting.push(record);
    this.#waitingBytes += record.value.length + (record.key?.length ?? 0);
    this.#inFlight ??= this.#sendWaiting();
    const isFull = this.#waiting.length >= WAITING_RECORD_COUNT_MAX || this.#waitingBytes >= WAITING_BYTES_MAX;
    if (isFull) await this.#inFlight;
  }

  /** Resolves when every record is acknowledged. @throws StreamError. */
  async flush(): Promise<void> {
    await this.#inFlight;
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<void> {
    await this.#inFlight;
    await this.#producer.close();
  }

  /** Never rejects: the failure waits for the next `add` or `flush`. */
  async #sendWaiting(): Promise<void> {
    // What is added in the same turn of the event loop, as the lines of one read are, goes into the same batch.
    await nextTurn();
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting;
        this.#waiting = [];
        this.#waitingBytes = 0;
        await this.#send(batch);
        this.#sentCount += batch.length;
      }
    } catch (error) {
      this.#failure = toHubFailure(error, this.#options.address);
    } finally {
      this.#inFlight = undefined;
    }
  }

  async #send(batch: readonly RecordToSend[]): Promise<void> {
    const { topic, partition } = this.#options;
    const result = await this.#producer.send({
      messages: batch.map(({ key, value, headers }) => ({
        topic,
        ...(partition === undefined ? {} : { partition }),
        ...(key === undefined ? {} : { key: Buffer.from(key) }),
        value: Buffer.from(value),
        headers: new Map(headers.map((header) => [Buffer.from(header.key), Buffer.from(header.value)])),
      })),
    });
    if (result.unwritableNodes !== undefined && result.unwritableNodes.length > 0) {
      throw new StreamError("OVERLOADED", "the hub does not take more records at the moment");
    }
  }
}
