/**
 * What gathers for one commit: the open batches of all partitions that got records, the QoS 2 identifiers that go with
 * them, and everyone who waits for an acknowledgement, in the order in which the messages came.
 */
import { BatchBuilder } from "../../shared/batch/batch-builder.ts";
import type { OpenBatch } from "../../shared/batch/batch-builder.ts";
import type { Timestamp } from "../../shared/ids.ts";
import { invariant } from "../../shared/invariant.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { Durability } from "../../shared/record.ts";
import type { PublishMessage } from "../mqtt/publish-sink.ts";
import { Drops } from "./drops.ts";
import type { PacketKey } from "./qos-two-packets.ts";
import type { RoutedTopic } from "./route-table.ts";
import type { Lane, TopicLanes } from "./topic-lanes.ts";

/** A builder is full at this size and another one takes over: stored batches must fit into a message of the uplink. */
const BATCH_BYTES_MAX = 1024 * 1024;

export type Done = (error?: Error) => void;

export type Append = { readonly partition: LogPartition; readonly records: OpenBatch };

/** Partitions that gather at once and keep their memory from one commit to the next. */
const POOLED_BUILDERS_MAX = 16;
/** A builder that grew beyond this in a burst is not kept. */
const POOLED_BYTES_MAX = 256 * 1024;

/** Builders go round: a partition has one only while it gathers records. */
export class BuilderPool {
  readonly #free: BatchBuilder[] = [];

  take(): BatchBuilder {
    return this.#free.pop() ?? new BatchBuilder();
  }

  /** `builder` is empty; `bytes` is what it held. Its memory is used again with the first record after this turn. */
  give(builder: BatchBuilder, bytes: number): void {
    if (bytes <= POOLED_BYTES_MAX && this.#free.length < POOLED_BUILDERS_MAX) this.#free.push(builder);
  }
}

export class OpenCommit {
  /** Its own number and those of the commits it took over. */
  readonly numbers: number[];
  readonly #pool: BuilderPool;
  readonly #lanes: Lane[] = [];
  readonly #full: { readonly partition: LogPartition; readonly builder: BatchBuilder }[] = [];
  readonly dones: Done[] = [];
  readonly packets: PacketKey[] = [];
  /** QoS 0 records: nobody waits to hear of them, so they are lost when the commit fails. */
  readonly unanswered = new Map<LogPartition, number>();
  /** Messages that are taken and not stored: the commit has them in the loss ledger. */
  readonly drops = new Drops();
  durability: Durability = "os";
  bytes = 0;
  recordCount = 0;
  /** The highest of the topics in it. */
  priority = -Infinity;

  constructor(number: number, pool: BuilderPool) {
    this.numbers = [number];
    this.#pool = pool;
  }

  get isEmpty(): boolean {
    return this.recordCount === 0 && this.drops.isEmpty;
  }

  /** Copies the message into its batch. Returns the bytes it took. */
  add(lane: Lane, routed: RoutedTopic<TopicLanes>, message: PublishMessage, timestamp: Timestamp): number {
    let builder = lane.builder;
    if (builder === undefined) {
      builder = this.#pool.take();
      lane.builder = builder;
      this.#lanes.push(lane);
      this.priority = Math.max(this.priority, lane.topic.policy.priority);
    }
    const before = builder.bytes;
    builder.append(timestamp, routed.keyBytes, message.payload, routed.headers(message.qos, message.retain));
    const bytes = builder.bytes - before;
    this.bytes += bytes;
    this.recordCount++;
    if (builder.bytes >= BATCH_BYTES_MAX) {
      this.#full.push({ partition: lane.partition, builder });
      lane.builder = this.#pool.take();
    }
    return bytes;
  }

  /** Also after it was closed. */
  has(topic: TopicLanes): boolean {
    return this.#lanes.some((lane) => lane.topic === topic);
  }

  addUnanswered(partition: LogPartition): void {
    this.unanswered.set(partition, (this.unanswered.get(partition) ?? 0) + 1);
  }

  /** Takes over everything of `other`, whose lanes are none of this one's. */
  absorb(other: OpenCommit): void {
    this.numbers.push(...other.numbers);
    for (const lane of other.#lanes) this.#lanes.push(lane);
    for (const full of other.#full) this.#full.push(full);
    for (const done of other.dones) this.dones.push(done);
    for (const key of other.packets) this.packets.push(key);
    for (const [partition, count] of other.unanswered) {
      this.unanswered.set(partition, (this.unanswered.get(partition) ?? 0) + count);
    }
    this.drops.absorb(other.drops);
    if (other.durability === "fsync") this.durability = "fsync";
    this.bytes += other.bytes;
    this.recordCount += other.recordCount;
    this.priority = Math.max(this.priority, other.priority);
  }

  /**
   * Closes all batches. A partition's batches are in the order of their records. They lie in the builders' memory, which
   * goes back to the pool: the log copies them before anything else is added.
   *
   * @throws AssertionError when they do not hold what was added: nobody may be told that it was stored.
   */
  close(): readonly Append[] {
    const appends: Append[] = [];
    const closeBuilder = (partition: LogPartition, builder: BatchBuilder): void => {
      const { bytes } = builder;
      if (builder.recordCount > 0) appends.push({ partition, records: builder.take() });
      this.#pool.give(builder, bytes);
    };
    for (const { partition, builder } of this.#full) closeBuilder(partition, builder);
    for (const lane of this.#lanes) {
      if (lane.builder !== undefined) closeBuilder(lane.partition, lane.builder);
      lane.builder = undefined;
    }
    const closed = appends.reduce((sum, { records }) => sum + records.recordCount, 0);
    invariant(closed === this.recordCount, "a commit holds what was added to it");
    return appends;
  }
}
