/**
 * Follows topics as a member of a consumer group. An offset is committed only after the sink has taken the record, so
 * a record may come twice (after a crash or a rebalance) but is never skipped.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Consumer } from "@platformatic/kafka";
import type { Message } from "@platformatic/kafka";
import { StreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import { clientOptions, kafkaCodeOf, withAdmin } from "./connect.ts";
import type { ConsumedRecord } from "./consumed-record.ts";
import { fetchOptions, keepReading } from "./reading.ts";
import type { HubWatch, ReadingOptions } from "./reading.ts";
import { readTopicRanges } from "./topic-offsets.ts";

export type GroupReading = ReadingOptions & {
  readonly group: string;
  readonly topics: readonly string[];
  /** Where partitions begin for which the group has committed nothing. */
  readonly fallback: "earliest" | "latest";
  readonly recordCountMax: number | undefined;
};

const COMMIT_INTERVAL_MS = 500;
const SESSION_TIMEOUT_MS = 10_000;
const HEARTBEAT_INTERVAL_MS = 2000;
const RETRY_DELAY_MS = 500;
const REBALANCE_TIMEOUT_MS = 15_000;
/** For the last commit, and for leaving, which is a courtesy: a hub that does not hear of it expires the member. */
const LEAVE_TIMEOUT_MS = 2000;
/** Records between the library and the sink. */
const QUEUE_RECORD_COUNT_MAX = 1024;

/** A commit that a rebalance overtook: the records are read again by whoever has the partition now. */
const overtakenCodes = new Set(["ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS", "UNKNOWN_MEMBER_ID"]);

/** @throws StreamError HUB_UNREACHABLE, UNKNOWN_TOPIC_OR_PARTITION and what the hub answers. */
export async function readAsGroup(reading: GroupReading): Promise<void> {
  let recordsLeft = reading.recordCountMax ?? Number.POSITIVE_INFINITY;
  const sink = async (record: ConsumedRecord): Promise<boolean> => {
    await reading.sink([record]);
    recordsLeft--;
    return recordsLeft > 0;
  };
  await keepReading(reading, async (hub) => {
    // The library would tell of a missing topic in words of its own.
    await withAdmin(reading.address, (admin) => readTopicRanges(admin, reading.topics));
    const membership = new Membership(reading);
    try {
      await membership.run(sink, hub);
    } finally {
      await membership.leave();
    }
  });
}

type Position = {
  readonly topic: string;
  readonly partition: number;
  readonly offset: Offset;
  readonly leaderEpoch: number;
};

/** One stay in the group, from joining to leaving. */
class Membership {
  readonly #reading: GroupReading;
  readonly #consumer: Consumer;
  /** Next offset of each partition, taken by the sink but not yet committed. */
  readonly #uncommitted = new Map<string, Position>();
  /** `topic/partition` of what the last rebalance assigned. */
  #owned: ReadonlySet<string> = new Set();
  #commitInFlight: Promise<void> = Promise.resolve();
  #onFailure: (error: Error) => void = () => undefined;

  constructor(reading: GroupReading) {
    this.#reading = reading;
    this.#consumer = new Consumer({
      ...clientOptions(reading.address),
      ...fetchOptions,
      // Within its session a member that was cut off is still a member: it goes on without a rebalance.
      retries: SESSION_TIMEOUT_MS / RETRY_DELAY_MS,
      retryDelay: RETRY_DELAY_MS,
      groupId: reading.group,
      autocommit: false,
      sessionTimeout: SESSION_TIMEOUT_MS,
      heartbeatInterval: HEARTBEAT_INTERVAL_MS,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      highWaterMark: QUEUE_RECORD_COUNT_MAX,
    });
    this.#consumer.on("consumer:group:join", () => this.#takeAssignment());
    // A rejoin in the background that failed: without a listener it would end the process.
    this.#consumer.on("error", (error: Error) => this.#onFailure(error));
  }

  /** Returns when the signal comes or the sink has had enough. */
  async run(sink: (record: ConsumedRecord) => Promise<boolean>, hub: HubWatch): Promise<void> {
    const { topics, fallback, signal } = this.#reading;
    const stream = await this.#consumer.consume({
      topics: [...topics],
      mode: "committed",
      fallbackMode: fallback,
      autocommit: false,
    });
    hub.isBack();
    this.#consumer.on("client:broker:failed", hub.isLost);
    this.#consumer.on("client:broker:connect", hub.isBack);
    this.#onFailure = (error) => stream.destroy(error);
    const timer = setInterval(() => void this.#commit().catch(this.#onFailure), COMMIT_INTERVAL_MS);
    const onAbort = (): void => void stream.destroy();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      for await (const message of stream) {
        // Fetched before a rebalance gave the partition to another member, which reads it from the last commit on.
        if (!this.#owned.has(`${message.topic}/${message.partition}`)) continue;
        const goesOn = await sink(recordOf(message));
        this.#taken(message);
        if (!goesOn || signal.aborted) break;
      }
    } catch (error) {
      // A stream that the signal destroyed ends its iteration with an error; that is the stop that was asked for.
      if (!signal.aborted) throw error;
    } finally {
      clearInterval(timer);
      signal.removeEventListener("abort", onAbort);
    }
    await this.#commitLast();
  }

  async leave(): Promise<void> {
    // Errors do not matter any more: all that was taken is committed, or the run has failed with the reason.
    await Promise.race([
      this.#consumer.close(true).catch(() => undefined),
      delay(LEAVE_TIMEOUT_MS, undefined, { ref: false }),
    ]);
  }

  /** At the end there is no later commit to make up for a failed one, so somebody should know. */
  async #commitLast(): Promise<void> {
    try {
      const isInTime = await Promise.race([
        this.#commit().then(() => true),
        delay(LEAVE_TIMEOUT_MS, false, { ref: false }),
      ]);
      if (!isInTime) throw new StreamError("TIMEOUT", "the hub did not take the last offsets");
    } catch (error) {
      if (!this.#reading.signal.aborted) throw error;
      this.#reading.notice("the last offsets could not be committed: the group will read some records again");
    }
  }

  #taken(message: Message): void {
    const { topic, partition, offset, leaderEpoch } = message;
    this.#uncommitted.set(`${topic}/${partition}`, { topic, partition, offset: Number(offset) + 1, leaderEpoch });
  }

  #takeAssignment(): void {
    const assignments = this.#consumer.assignments ?? [];
    this.#owned = new Set(
      assignments.flatMap(({ topic, partitions }) => partitions.map((partition) => `${topic}/${partition}`)),
    );
    for (const key of this.#uncommitted.keys()) if (!this.#owned.has(key)) this.#uncommitted.delete(key);
  }

  #commit(): Promise<void> {
    this.#commitInFlight = this.#commitInFlight.then(() => this.#commitNow());
    return this.#commitInFlight;
  }

  async #commitNow(): Promise<void> {
    if (this.#uncommitted.size === 0) return;
    const positions = [...this.#uncommitted.values()];
    this.#uncommitted.clear();
    try {
      await this.#consumer.commit({
        offsets: positions.map((position) => ({ ...position, offset: BigInt(position.offset) })),
      });
    } catch (error) {
      if (!overtakenCodes.has(kafkaCodeOf(error) ?? "")) throw error;
    }
  }
}

/** The library's types promise what a record need not have. */
type MaybeBytes = Buffer | null | undefined;

function recordOf(message: Message): ConsumedRecord {
  const { key, value }: { readonly key: MaybeBytes; readonly value: MaybeBytes } = message;
  const entries: readonly (readonly [MaybeBytes, MaybeBytes])[] = message.headerEntries;
  return {
    topic: message.topic,
    partition: message.partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: key ?? null,
    value: value ?? null,
    headers: entries.map(([name, content]) => ({ key: name?.toString("utf8") ?? "", value: content ?? null })),
  };
}
