/**
 * The agents the hub has heard of since its start. Known by producer id, not by name: two gateways with the same host
 * name are two agents.
 */
import type { Clock } from "../../shared/clock.ts";
import type { ProducerId, Timestamp } from "../../shared/ids.ts";

/** Agents kept in memory; beyond it the one that was gone longest is forgotten. */
export const AGENTS_KNOWN_MAX = 10_000;

export type AgentCounters = {
  connections: number;
  batches: number;
  records: number;
  bytes: number;
  /** Batches the hub had stored before: their answer was lost. */
  duplicates: number;
  refused: number;
  gaps: number;
  recordsDeclaredLost: number;
};

export type AgentInfo = {
  readonly agent: string;
  readonly producer: string;
  readonly version: string;
  readonly address: string;
  readonly isConnected: boolean;
  readonly connectedSince: Timestamp;
  readonly lastSeen: Timestamp;
  /** What the agent last said of itself. */
  readonly status: Readonly<Record<string, unknown>> | null;
} & Readonly<AgentCounters>;

export type AgentIntroduction = {
  readonly agent: string;
  readonly producerId: ProducerId;
  /** Of the running program. */
  readonly instance: string;
  readonly version: string;
  readonly address: string;
};

/** What a session writes about its agent. */
export type KnownAgent = {
  introduction: AgentIntroduction;
  readonly counters: AgentCounters;
  status: Readonly<Record<string, unknown>> | undefined;
  connectedSince: Timestamp;
  lastSeen: Timestamp;
  isConnected: boolean;
};

export class AgentRegistry {
  readonly #clock: Clock;
  /** The longest gone first. */
  readonly #agents = new Map<ProducerId, KnownAgent>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  connected(introduction: AgentIntroduction): KnownAgent {
    const { producerId } = introduction;
    const now = this.#clock.wallMs();
    const known = this.#agents.get(producerId) ?? newAgent(introduction);
    known.introduction = introduction;
    known.connectedSince = now;
    known.lastSeen = now;
    known.isConnected = true;
    known.counters.connections++;
    this.#agents.delete(producerId);
    this.#agents.set(producerId, known);
    this.#forget();
    return known;
  }

  disconnected(known: KnownAgent): void {
    known.isConnected = false;
    known.lastSeen = this.#clock.wallMs();
  }

  list(): AgentInfo[] {
    return Array.from(this.#agents.values(), ({ introduction, counters, status, ...rest }) => ({
      agent: introduction.agent,
      producer: String(introduction.producerId),
      version: introduction.version,
      address: introduction.address,
      ...rest,
      ...counters,
      status: status ?? null,
    }));
  }

  #forget(): void {
    if (this.#agents.size <= AGENTS_KNOWN_MAX) return;
    for (const [producerId, { isConnected }] of this.#agents) {
      if (isConnected) continue;
      this.#agents.delete(producerId);
      return;
    }
  }
}

function newAgent(introduction: AgentIntroduction): KnownAgent {
  return {
    introduction,
    counters: {
      connections: 0,
      batches: 0,
      records: 0,
      bytes: 0,
      duplicates: 0,
      refused: 0,
      gaps: 0,
      recordsDeclaredLost: 0,
    },
    status: undefined,
    connectedSince: 0,
    lastSeen: 0,
    isConnected: false,
  };
}
