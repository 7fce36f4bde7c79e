/**
 * What the agent tells about itself: what is pending for the hub and how long the log will last, what was lost and why,
 * what was written to the card, and how the connections stand.
 */
import type { Clock } from "../../shared/clock.ts";
import { EventLoopDelayMeter } from "../../shared/event-loop-delay.ts";
import type { EventLoopDelay } from "../../shared/event-loop-delay.ts";
import { soundIntegrity } from "../../shared/log/log-integrity.ts";
import type { LogIntegrity } from "../../shared/log/log-integrity.ts";
import type { LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { IngestStats } from "../ingest/ingest-limits.ts";
import type { LogSpace } from "../buffer/log-space.ts";
import { addBalances, balanceOf, historyPending } from "../ledger/balance.ts";
import type { Balance } from "../ledger/balance.ts";
import type { LossCount, LossLedger, TopicPartition } from "../ledger/loss-ledger.ts";
import type { LossRow } from "../ledger/loss-row.ts";
import type { ClockStatus } from "../time/agent-clock.ts";
import { unheardPlaces } from "../uplink/windows.ts";
import type { WindowPlace } from "../uplink/windows.ts";
import { DiskWriteMeter } from "./disk-writes.ts";
import type { DiskWrites } from "./disk-writes.ts";
import { RunwayMeter } from "./runway.ts";
import type { LogSample, Runway } from "./runway.ts";

/** The uplink as the status sees it. */
export interface UplinkView {
  /** Plain data for people: hub, state, last error, … `isConnected` is for the metrics. */
  status(): { readonly isConnected: boolean } & Readonly<Record<string, unknown>>;
  /** How far each of the partition's lanes has come, oldest first. */
  places(partition: LogPartition): readonly WindowPlace[];
}

/** The MQTT side as the status sees it: plain counts by name. */
export interface MqttView {
  stats(): Readonly<Record<string, number>>;
}

/** Of the disk under the log. */
export type DiskFigures = { readonly fileBytes: number; readonly diskFreeBytes: number | null };

export type StatusSources = {
  readonly version: string;
  readonly clock: Clock;
  readonly log: Pick<PartitionedLog, "id" | "topics" | "onCommit">;
  readonly space: Pick<LogSpace, "usedBytes" | "capBytes"> & Partial<DiskFigures>;
  readonly ingest: { stats(): IngestStats };
  readonly integrity?: () => LogIntegrity;
  readonly ledger: Pick<LossLedger, "totals" | "counts" | "rows" | "differences">;
  readonly uplink?: UplinkView | undefined;
  readonly mqtt?: MqttView | undefined;
  readonly time?: { status(): ClockStatus };
  readonly diskBytesWritten: () => Promise<number | undefined>;
  /** Set when the agent cannot go on: the log's disk failed, or it is stopping. */
  readonly failure: () => { readonly code: string; readonly message: string } | undefined;
};

export type TopicStatus = {
  readonly topic: string;
  readonly partitions: number;
  /** accepted = delivered + pending + dropped, for each partition. */
  readonly balances: readonly ({ readonly partition: number } & Balance)[];
  readonly pendingRecords: number;
  /** Of them, what an outage has gathered and newer records have overtaken. */
  readonly historyRecords: number;
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
    /** In use of the log's database, and how much may be. */
    readonly usedBytes: number;
    readonly capBytes: number;
    /** Of the database file, which does not shrink. */
    readonly fileBytes: number | null;
    /** On the file system. */
    readonly diskFreeBytes: number | null;
    readonly pendingRecords: number;
    readonly historyRecords: number;
    readonly pendingBytes: number;
    readonly topics: readonly TopicStatus[];
  };
  /** What records are stamped with. */
  readonly clock: ClockStatus | null;
  readonly runway: Runway;
  /** Damage to the log and what became of it. */
  readonly integrity: LogIntegrity;
  /** What the card has to take. */
  readonly disk: DiskWrites;
  readonly ledger: LedgerStatus;
  readonly ingest: IngestStats;
  readonly uplink: ReturnType<UplinkView["status"]> | null;
  readonly mqtt: Readonly<Record<string, number>> | null;
  readonly process: {
    readonly diskBytesWritten: number | null;
    readonly residentBytes: number;
    readonly eventLoopDelay: EventLoopDelay;
  };
};

export type LedgerStatus = Balance & {
  /** By topic and reason, since the installation. */
  readonly losses: readonly LossCount[];
  /** The newest entries, newest first. */
  readonly entries: readonly LossRow[];
  /** Partitions of which the hub has stored another number of records than were delivered: none, if all is well. */
  readonly differences: ReturnType<LossLedger["differences"]>;
};

/** Entries of the ledger that the status shows. */
const LEDGER_ENTRIES_MAX = 50;

export class StatusCollector {
  readonly #sources: StatusSources;
  readonly #runway = new RunwayMeter();
  readonly #diskWrites = new DiskWriteMeter();
  readonly #startedAtMs: number;
  readonly #eventLoopDelay: EventLoopDelayMeter;
  readonly #removeListener: () => void;

  constructor(sources: StatusSources) {
    this.#sources = sources;
    this.#startedAtMs = sources.clock.monotonicMs();
    this.#eventLoopDelay = new EventLoopDelayMeter(sources.clock);
    this.#runway.add(this.#sample());
    this.#removeListener = sources.log.onCommit(() => {
      const nowMs = sources.clock.monotonicMs();
      if (this.#runway.isDue(nowMs)) this.#runway.add(this.#sample());
      if (this.#diskWrites.isDue(nowMs)) void this.#readDiskWrites();
    });
    void this.#readDiskWrites();
  }

  /** Why the agent is not well; undefined while it is. */
  failure(): { readonly code: string; readonly message: string } | undefined {
    return this.#sources.failure();
  }

  /** The few figures that the hub shows of its agents. */
  summary(): Readonly<Record<string, unknown>> {
    const { space, ledger } = this.#sources;
    const { capBytes } = space;
    const topics = this.#topics();
    const sample = this.#sample();
    return {
      pendingRecords: topics.reduce((sum, topic) => sum + topic.pendingRecords, 0),
      historyRecords: topics.reduce((sum, topic) => sum + topic.historyRecords, 0),
      pendingBytes: topics.reduce((sum, topic) => sum + topic.pendingBytes, 0),
      usedBytes: sample.usedBytes,
      capBytes,
      runway: this.#runway.estimate(sample, capBytes),
      ...sumOf(topics),
      losses: lossesByReason(ledger.counts(this.#placesOf)),
      unreconciledPartitions: ledger.differences().length,
      clock: this.#sources.time?.status() ?? null,
    };
  }

  async collect(): Promise<AgentStatus> {
    const { version, clock, time, log, space, ingest, ledger, uplink, mqtt } = this.#sources;
    const diskBytes = await this.#readDiskWrites();
    const sample = this.#sample();
    this.#runway.add(sample);
    const topics = this.#topics();
    return {
      program: "agent",
      version,
      node: process.version,
      uptimeSeconds: Math.round((clock.monotonicMs() - this.#startedAtMs) / 1000),
      log: {
        id: log.id,
        usedBytes: sample.usedBytes,
        capBytes: space.capBytes,
        fileBytes: space.fileBytes ?? null,
        diskFreeBytes: space.diskFreeBytes ?? null,
        pendingRecords: topics.reduce((sum, topic) => sum + topic.pendingRecords, 0),
        historyRecords: topics.reduce((sum, topic) => sum + topic.historyRecords, 0),
        pendingBytes: topics.reduce((sum, topic) => sum + topic.pendingBytes, 0),
        topics,
      },
      runway: this.#runway.estimate(sample, space.capBytes),
      disk: this.#diskWrites.report(clock.monotonicMs(), diskBytes, ingest.stats().committedRecords),
      integrity: this.#sources.integrity?.() ?? soundIntegrity,
      ledger: {
        ...sumOf(topics),
        losses: ledger.counts(this.#placesOf),
        entries: ledger.rows(LEDGER_ENTRIES_MAX, this.#placesOf),
        differences: ledger.differences(),
      },
      clock: time?.status() ?? null,
      ingest: ingest.stats(),
      uplink: uplink?.status() ?? null,
      mqtt: mqtt?.stats() ?? null,
      process: {
        diskBytesWritten: diskBytes ?? null,
        residentBytes: process.memoryUsage.rss(),
        eventLoopDelay: this.#eventLoopDelay.read(),
      },
    };
  }

  stop(): void {
    this.#removeListener();
    this.#eventLoopDelay.stop();
  }

  async #readDiskWrites(): Promise<number | undefined> {
    const bytes = await this.#sources.diskBytesWritten();
    this.#diskWrites.add(this.#sources.clock.monotonicMs(), bytes);
    return bytes;
  }

  readonly #placesOf = ({ topic, partition }: TopicPartition): readonly WindowPlace[] => {
    const { log, uplink } = this.#sources;
    const found = log.topics.get(topic)?.partitions[partition];
    return (found === undefined ? undefined : uplink?.places(found)) ?? unheardPlaces;
  };

  #topics(): TopicStatus[] {
    const { log, uplink, ledger } = this.#sources;
    return [...log.topics.values()].map(({ name: topic, partitions }) => {
      let pendingRecords = 0;
      let historyRecords = 0;
      let pendingBytes = 0;
      let storedBytes = 0;
      const balances = partitions.map((each) => {
        const { partition, logStartOffset, logEndOffset, bytes } = each;
        const totals = ledger.totals({ topic, partition });
        const places = uplink?.places(each) ?? unheardPlaces;
        const balance = balanceOf(each, places, totals);
        historyRecords += historyPending(each, places);
        const { pending } = balance;
        pendingRecords += pending;
        if (pending > 0) pendingBytes += Math.round((bytes * pending) / (logEndOffset - logStartOffset));
        storedBytes += bytes;
        return { partition, ...balance };
      });
      return {
        topic,
        partitions: partitions.length,
        balances,
        pendingRecords,
        historyRecords,
        pendingBytes,
        storedBytes,
      };
    });
  }

  #sample(): LogSample {
    let storedRecords = 0;
    let appendedRecords = 0;
    for (const { partitions } of this.#sources.log.topics.values()) {
      for (const { logStartOffset, logEndOffset } of partitions) {
        storedRecords += logEndOffset - logStartOffset;
        appendedRecords += logEndOffset;
      }
    }
    const { clock, space } = this.#sources;
    return { atMs: clock.monotonicMs(), usedBytes: space.usedBytes, storedRecords, appendedRecords };
  }
}

function sumOf(topics: readonly TopicStatus[]): Balance {
  return addBalances(topics.flatMap(({ balances }) => balances));
}

function lossesByReason(counts: readonly LossCount[]): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {};
  for (const { reason, records } of counts) sums[reason] = (sums[reason] ?? 0) + records;
  return sums;
}
