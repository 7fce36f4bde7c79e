/**
 * What the agent tells about itself: what is pending for the hub and how long the log will last, what was lost and why,
 * what was written to the card, and how the connections stand.
 */
import type { Clock } from "../../shared/clock.ts";
import type { Offset } from "../../shared/ids.ts";
import type { LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { IngestStats } from "../ingest/ingest-limits.ts";
import type { LossCount } from "../ingest/loss-counts.ts";
import { RunwayMeter } from "./runway.ts";
import type { LogSample, Runway } from "./runway.ts";

/** The uplink as the status sees it. */
export interface UplinkView {
  /** Plain data for people: hub, state, last error, … `isConnected` is for the metrics. */
  status(): { readonly isConnected: boolean } & Readonly<Record<string, unknown>>;
  /** The first record of the partition that the hub has not confirmed. */
  pendingFrom(partition: LogPartition): Offset;
}

/** The MQTT side as the status sees it: plain counts by name. */
export interface MqttView {
  stats(): Readonly<Record<string, number>>;
}

export type StatusSources = {
  readonly version: string;
  readonly clock: Clock;
  readonly log: Pick<PartitionedLog, "id" | "topics" | "onCommit">;
  readonly capBytes: number;
  readonly ingest: { stats(): IngestStats };
  readonly uplink?: UplinkView | undefined;
  readonly mqtt?: MqttView | undefined;
  readonly diskBytesWritten: () => Promise<number | undefined>;
  /** Set when the agent cannot go on: the log's disk failed, or it is stopping. */
  readonly failure: () => { readonly code: string; readonly message: string } | undefined;
};

export type TopicStatus = {
  readonly topic: string;
  readonly partitions: number;
  readonly pendingRecords: number;
  /** Estimated from the share of the stored records that are pending. */
  readonly pendingBytes: number;
  readonly storedBytes: number;
};

export type AgentStatus = {
  readonly program: "agent";
  readonly version: string;
  readonly node: string;
  readonly uptimeSeconds: number;
  readonly log: {
    readonly id: string;
    readonly usedBytes: number;
    readonly capBytes: number;
    readonly pendingRecords: number;
    readonly pendingBytes: number;
    readonly topics: readonly TopicStatus[];
  };
  readonly runway: Runway;
  readonly losses: readonly LossCount[];
  readonly ingest: Omit<IngestStats, "losses">;
  readonly uplink: ReturnType<UplinkView["status"]> | null;
  readonly mqtt: Readonly<Record<string, number>> | null;
  readonly process: { readonly diskBytesWritten: number | null; readonly residentBytes: number };
};

export class StatusCollector {
  readonly #sources: StatusSources;
  readonly #runway = new RunwayMeter();
  readonly #startedAtMs: number;
  readonly #removeListener: () => void;

  constructor(sources: StatusSources) {
    this.#sources = sources;
    this.#startedAtMs = sources.clock.monotonicMs();
    this.#runway.add(this.#sample());
    this.#removeListener = sources.log.onCommit(() => {
      if (this.#runway.isDue(sources.clock.monotonicMs())) this.#runway.add(this.#sample());
    });
  }

  /** Why the agent is not well; undefined while it is. */
  failure(): { readonly code: string; readonly message: string } | undefined {
    return this.#sources.failure();
  }

  /** The few figures that the hub shows of its agents. */
  summary(): Readonly<Record<string, unknown>> {
    const { capBytes, ingest } = this.#sources;
    const topics = this.#topics();
    const sample = this.#sample();
    return {
      pendingRecords: topics.reduce((sum, topic) => sum + topic.pendingRecords, 0),
      pendingBytes: topics.reduce((sum, topic) => sum + topic.pendingBytes, 0),
      usedBytes: sample.usedBytes,
      capBytes,
      runway: this.#runway.estimate(sample, capBytes),
      losses: ingest.stats().losses,
    };
  }

  async collect(): Promise<AgentStatus> {
    const { version, clock, log, capBytes, ingest, uplink, mqtt } = this.#sources;
    const diskBytes = await this.#sources.diskBytesWritten();
    const sample = this.#sample();
    this.#runway.add(sample);
    const topics = this.#topics();
    const { losses, ...ingestStats } = ingest.stats();
    return {
      program: "agent",
      version,
      node: process.version,
      uptimeSeconds: Math.round((clock.monotonicMs() - this.#startedAtMs) / 1000),
      log: {
        id: log.id,
        usedBytes: sample.usedBytes,
        capBytes,
        pendingRecords: topics.reduce((sum, topic) => sum + topic.pendingRecords, 0),
        pendingBytes: topics.reduce((sum, topic) => sum + topic.pendingBytes, 0),
        topics,
      },
      runway: this.#runway.estimate(sample, capBytes),
      losses,
      ingest: ingestStats,
      uplink: uplink?.status() ?? null,
      mqtt: mqtt?.stats() ?? null,
      process: { diskBytesWritten: diskBytes ?? null, residentBytes: process.memoryUsage.rss() },
    };
  }

  stop(): void {
    this.#removeListener();
  }

  #topics(): TopicStatus[] {
    const { log, uplink } = this.#sources;
    return [...log.topics.values()].map(({ name, partitions }) => {
      let pendingRecords = 0;
      let pendingBytes = 0;
      let storedBytes = 0;
      for (const partition of partitions) {
        const { logStartOffset, logEndOffset, bytes } = partition;
        const from = Math.max(logStartOffset, uplink?.pendingFrom(partition) ?? logStartOffset);
        const pending = Math.max(0, logEndOffset - from);
        pendingRecords += pending;
        if (pending > 0) pendingBytes += Math.round((bytes * pending) / (logEndOffset - logStartOffset));
        storedBytes += bytes;
      }
      return { topic: name, partitions: partitions.length, pendingRecords, pendingBytes, storedBytes };
    });
  }

  #sample(): LogSample {
    let usedBytes = 0;
    let storedRecords = 0;
    let appendedRecords = 0;
    for (const { partitions } of this.#sources.log.topics.values()) {
      for (const { bytes, logStartOffset, logEndOffset } of partitions) {
        usedBytes += bytes;
        storedRecords += logEndOffset - logStartOffset;
        appendedRecords += logEndOffset;
      }
    }
    return { atMs: this.#sources.clock.monotonicMs(), usedBytes, storedRecords, appendedRecords };
  }
}
