/** What the hub tells about itself: topics with their offsets, groups with their lag, agents, and the Kafka listener. */
import type { Clock } from "../../shared/clock.ts";
import { EventLoopDelayMeter } from "../../shared/event-loop-delay.ts";
import type { EventLoopDelay } from "../../shared/event-loop-delay.ts";
import type { Offset, Partition } from "../../shared/ids.ts";
import { soundIntegrity } from "../../shared/log/log-integrity.ts";
import type { LogIntegrity } from "../../shared/log/log-integrity.ts";
import type { CompactionStats, Engine, TopicConfig } from "../engine/engine.ts";
import type { AnyGroupListing, Groups } from "../group/groups.ts";

/** The uplink's known agents, as plain data for people, and what they have declared lost. */
export interface AgentsView {
  list(): readonly AgentView[];
  losses(entriesMax: number): Promise<readonly LossView[]>;
  lossTotals(): Promise<readonly LossTotalView[]>;
}

export type AgentView = {
  readonly agent: string;
  readonly producer: string;
  readonly isConnected: boolean;
} & Readonly<Record<string, unknown>>;

/** An entry of the loss ledger. */
export type LossView = { readonly agent: string; readonly producerId: bigint } & Readonly<Record<string, unknown>>;

export type LossTotalView = {
  readonly producerId: bigint;
  readonly topic: string;
  readonly reason: string;
  readonly records: number;
};

/** The Kafka listener's counters. */
export interface KafkaView {
  stats(): {
    readonly connections: number;
    readonly connectionsTotal: number;
    readonly connectionsRefusedTotal: number;
    readonly loginFailuresTotal: number;
    readonly requestsTotal: ReadonlyMap<string, number>;
    readonly fetchesParked: number;
    readonly fetchSessions: number;
    readonly fetchSessionPartitions: number;
    readonly bytesInTotal: number;
    readonly bytesOutTotal: number;
  };
}

export type StatusSources = {
  readonly version: string;
  readonly clock: Clock;
  readonly engine: Pick<Engine, "topics" | "clusterId" | "offsets" | "compaction">;
  readonly integrity?: () => LogIntegrity;
  readonly groups: Pick<Groups, "list" | "committed">;
  readonly agents: AgentsView;
  readonly kafka: KafkaView;
  /** Where the listeners are really bound, such as `{ kafka: "127.0.0.1:9092" }`. */
  readonly addresses: () => Readonly<Record<string, string>>;
  /** Set when the hub cannot go on: the log's disk failed, or it is stopping. */
  readonly failure: () => { readonly code: string; readonly message: string } | undefined;
};

export type PartitionStatus = {
  readonly partition: Partition;
  readonly logStartOffset: Offset;
  readonly highWatermark: Offset;
  readonly bytes: number;
};

export type TopicStatus = {
  readonly topic: string;
  readonly partitions: readonly PartitionStatus[];
  readonly config: TopicConfig;
};

export type GroupStatus = {
  readonly group: string;
  readonly state: AnyGroupListing["state"];
  readonly protocolType: string;
  readonly members: number;
  /** Records between the committed offsets and the ends of their partitions. */
  readonly lag: number;
};

export type HubStatus = {
  readonly program: "hub";
  readonly version: string;
  readonly node: string;
  readonly uptimeSeconds: number;
  readonly clusterId: string;
  readonly addresses: Readonly<Record<string, string>>;
  readonly topics: readonly TopicStatus[];
  readonly groups: readonly GroupStatus[];
  /** `declaredLost`: by reason, of all time. */
  readonly agents: readonly (AgentView & { readonly declaredLost: Readonly<Record<string, number>> })[];
  /** What agents have declared lost, by topic and reason, of all time. */
  readonly losses: readonly { readonly topic: string; readonly reason: string; readonly records: number }[];
  readonly kafka: Omit<ReturnType<KafkaView["stats"]>, "requestsTotal"> & {
    readonly requestsTotal: Readonly<Record<string, number>>;
  };
  readonly compaction: CompactionStats;
  /** Damage to the log and what became of it. */
  readonly integrity: LogIntegrity;
  readonly process: { readonly residentBytes: number; readonly eventLoopDelay: EventLoopDelay };
};

export class StatusCollector {
  readonly #sources: StatusSources;
  readonly #startedAtMs: number;
  readonly #eventLoopDelay: EventLoopDelayMeter;

  constructor(sources: StatusSources) {
    this.#sources = sources;
    this.#startedAtMs = sources.clock.monotonicMs();
    this.#eventLoopDelay = new EventLoopDelayMeter(sources.clock);
  }

  /** Why the hub is not well; undefined while it is. */
  failure(): { readonly code: string; readonly message: string } | undefined {
    return this.#sources.failure();
  }

  /** The newest entries of the loss ledger. */
  async losses(entriesMax: number): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const entries = await this.#sources.agents.losses(entriesMax);
    // JSON has no numbers of 63 bits.
    return entries.map(({ producerId, ...entry }) => ({ ...entry, producer: String(producerId) }));
  }

  async collect(): Promise<HubStatus> {
    const { version, clock, engine, groups, agents, kafka, addresses } = this.#sources;
    const { requestsTotal, ...kafkaStats } = kafka.stats();
    const totals = await agents.lossTotals();
    return {
      program: "hub",
      version,
      node: process.version,
      uptimeSeconds: Math.round((clock.monotonicMs() - this.#startedAtMs) / 1000),
      clusterId: engine.clusterId,
      addresses: addresses(),
      topics: [...engine.topics.values()].map(({ name, partitionCount, config }) => ({
        topic: name,
        partitions: Array.from({ length: partitionCount }, (_, partition) => this.#partition(name, partition)),
        config,
      })),
      groups: groups.list().map(({ group, state, protocolType, memberCount: members }) => {
        return { group, state, protocolType, members, lag: this.#lag(group) };
      }),
      agents: agents.list().map((each) => ({
        ...each,
        declaredLost: lostByReason(totals.filter(({ producerId }) => String(producerId) === each.producer)),
      })),
      losses: lostByTopic(totals),
      kafka: { ...kafkaStats, requestsTotal: Object.fromEntries(requestsTotal) },
      compaction: engine.compaction,
      integrity: this.#sources.integrity?.() ?? soundIntegrity,
      process: { residentBytes: process.memoryUsage.rss(), eventLoopDelay: this.#eventLoopDelay.read() },
    };
  }

  #partition(topic: string, partition: Partition): PartitionStatus {
    const { logStartOffset, highWatermark, bytes } = this.#sources.engine.offsets({ topic, partition });
    return { partition, logStartOffset, highWatermark, bytes };
  }

  /** Offsets committed for topics that are gone count nothing. */
  #lag(group: string): number {
    const { engine, groups } = this.#sources;
    let lag = 0;
    for (const [topic, partitions] of groups.committed(group)) {
      const partitionCount = engine.topics.get(topic)?.partitionCount ?? 0;
      for (const [partition, { offset }] of partitions) {
        if (partition >= partitionCount) continue;
        const { logStartOffset, highWatermark } = engine.offsets({ topic, partition });
        lag += Math.max(0, highWatermark - Math.max(offset, logStartOffset));
      }
    }
    return lag;
  }
}

function lostByReason(totals: readonly LossTotalView[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { reason, records } of totals) sums[reason] = (sums[reason] ?? 0) + records;
  return sums;
}

function lostByTopic(totals: readonly LossTotalView[]): HubStatus["losses"] {
  return [...Map.groupBy(totals, ({ topic }) => topic)].flatMap(([topic, ofTopic]) =>
    Object.entries(lostByReason(ofTopic)).map(([reason, records]) => ({ topic, reason, records })),
  );
}
