/**
 * What the demo's live line shows, seen from outside as any user could: the consumer group `demo` reads every topic
 * through the Kafka port, the log ends come from ListOffsets, the backlog from the agent.
 */
import { statSync } from "node:fs";
import path from "node:path";
import { Admin } from "@platformatic/kafka";
import type { Clock } from "../../shared/clock.ts";
import { LOG_FILE_NAME } from "../../shared/log/schema.ts";
import type { HubAddress } from "../hub-client/address.ts";
import { clientOptions } from "../hub-client/connect.ts";
import type { ConsumedRecord } from "../hub-client/consumed-record.ts";
import { readAsGroup } from "../hub-client/group-reader.ts";
import { readTopicRanges } from "../hub-client/topic-offsets.ts";
import type { SensorFleet } from "./sensor-fleet.ts";
import { median } from "./status-line.ts";
import type { Look } from "./status-line.ts";

export const DEMO_GROUP = "demo";
/** Latencies kept between two looks: enough for the busiest second of the demo. */
const LATENCY_COUNT_MAX = 1000;
const STATUS_TIMEOUT_MS = 3000;

export type ObserverOptions = {
  readonly kafka: HubAddress;
  readonly topics: readonly string[];
  readonly fleet: SensorFleet;
  /** Data directories whose logs are measured. */
  readonly directories: readonly string[];
  /** HOST:PORT of the agent's admin listener. */
  readonly adminAddress: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
};

export class Observer {
  readonly #options: ObserverOptions;
  readonly #admin: Admin;
  #consumed = 0;
  #latencies: number[] = [];
  /** Next offset of the group by `topic/partition`, as far as it was read here. */
  readonly #positions = new Map<string, number>();

  constructor(options: ObserverOptions) {
    this.#options = options;
    this.#admin = new Admin({ ...clientOptions(options.kafka), clientId: "tributary-demo" });
  }

  /** Reads until the signal comes. @throws StreamError. */
  read(): Promise<void> {
    return readAsGroup({
      address: this.#options.kafka,
      group: DEMO_GROUP,
      topics: this.#options.topics,
      fallback: "latest",
      recordCountMax: undefined,
      signal: this.#options.signal,
      notice: () => undefined,
      sink: async (records) => records.forEach((record) => this.#take(record)),
    });
  }

  async look(): Promise<Look> {
    const { clock, topics, fleet, directories, adminAddress } = this.#options;
    const ranges = await readTopicRanges(this.#admin, topics);
    const partitions = ranges.flatMap((range) =>
      range.partitions.map(({ partition, end, start }) => ({ key: `${range.name}/${partition}`, end, start })),
    );
    const latencyMs = median(this.#latencies);
    this.#latencies = [];
    return {
      atMs: clock.monotonicMs(),
      acknowledged: fleet.acknowledgedCount,
      stored: partitions.reduce((sum, { end, start }) => sum + end - start, 0),
      consumed: this.#consumed,
      lag: partitions.reduce((sum, { key, end }) => sum + Math.max(0, end - (this.#positions.get(key) ?? end)), 0),
      backlog: await pendingRecords(adminAddress),
      diskBytes: directories.reduce((sum, directory) => sum + logBytes(directory), 0),
      latencyMs,
    };
  }

  close(): Promise<void> {
    return this.#admin.close();
  }

  #take(record: ConsumedRecord): void {
    this.#consumed++;
    this.#positions.set(`${record.topic}/${record.partition}`, record.offset + 1);
    const sentAt = sentAtOf(record);
    if (sentAt === undefined || this.#latencies.length >= LATENCY_COUNT_MAX) return;
    this.#latencies.push(this.#options.clock.wallMs() - sentAt);
  }
}

/** The sensor's own timestamp; others may publish to these topics too, with whatever they like. */
function sentAtOf(record: ConsumedRecord): number | undefined {
  try {
    const payload: unknown = JSON.parse(String(record.value));
    const ts: unknown = typeof payload === "object" && payload !== null && "ts" in payload ? payload.ts : undefined;
    return typeof ts === "number" ? ts : undefined;
  } catch {
    // Not JSON: nothing to measure.
    return undefined;
  }
}

/** Records that the agent holds and the hub has not confirmed, from the agent's own status page. */
async function pendingRecords(adminAddress: string): Promise<number | undefined> {
  try {
    const response = await fetch(`http://${adminAddress}/status`, { signal: AbortSignal.timeout(STATUS_TIMEOUT_MS) });
    const status = (await response.json()) as { log: { pendingRecords: number } };
    return status.log.pendingRecords;
  } catch {
    // A look that comes at a bad moment: the next one is a second away, and the line shows a question mark.
    return undefined;
  }
}

function logBytes(directory: string): number {
  const sizeOf = (name: string): number => statSync(path.join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
  return sizeOf(LOG_FILE_NAME) + sizeOf(`${LOG_FILE_NAME}-wal`);
}
