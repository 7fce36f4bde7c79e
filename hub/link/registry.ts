/** The agents this hub has heard of since it started: who they are, since when, and what they have sent. */
import type { ProducerId, Timestamp } from "../../shared/ids.ts";

export type KnownAgent = {
  readonly agent: string;
  readonly producer: ProducerId;
  readonly version: string;
  readonly address: string;
  readonly isConnected: boolean;
  readonly connectedAt: Timestamp;
  readonly lastHeardAt: Timestamp;
  readonly batches: number;
  readonly records: number;
  readonly bytes: number;
  readonly duplicates: number;
  readonly lostRecords: number;
  /** As the agent tells it. */
  readonly status: Readonly<Record<string, unknown>> | null;
};

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };
export type AgentEntry = Mutable<KnownAgent>;

/** Agents that are not connected are forgotten beyond this, longest silent first. */
const AGENTS_REMEMBERED_MAX = 10_000;

export class AgentRegistry {
  readonly #agents = new Map<string, AgentEntry>();

  /** The entry of a connection that begins; counters go on where an earlier one of the same installation ended. */
  connected(hello: Pick<KnownAgent, "agent" | "producer" | "version" | "address">, now: Timestamp): AgentEntry {
    const known = this.#agents.get(hello.agent);
    const counters =
      known?.producer === hello.producer
        ? known
        : { batches: 0, records: 0, bytes: 0, duplicates: 0, lostRecords: 0, status: null };
    const { batches, records, bytes, duplicates, lostRecords, status } = counters;
    const entry: AgentEntry = {
      ...hello,
      isConnected: true,
      connectedAt: now,
      lastHeardAt: now,
      batches,
      records,
      bytes,
      duplicates,
      lostRecords,
      status,
    };
    this.#agents.delete(hello.agent);
    this.#agents.set(hello.agent, entry);
    if (this.#agents.size > AGENTS_REMEMBERED_MAX) this.#forgetOne();
    return entry;
  }

  disconnected(agent: string): void {
    const entry = this.#agents.get(agent);
    if (entry !== undefined) entry.isConnected = false;
  }

  list(): readonly KnownAgent[] {
    return [...this.#agents.values()];
  }

  #forgetOne(): void {
    for (const [name, { isConnected }] of this.#agents) {
      if (isConnected) continue;
      this.#agents.delete(name);
      return;
    }
  }
}
