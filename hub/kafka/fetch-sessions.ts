/**
 * The fetch sessions of one listener (KIP-227), at most `fetchSessionsMax` of them with `fetchSessionPartitionsMax`
 * partitions together. When they are full, a new one takes the place of one that has been idle for `fetchSessionIdleMs`,
 * else of a smaller one that is at least as old as that; else none is opened, and the client goes on sending full
 * requests. A session outlives its connection, as in Kafka: a client that connects again goes on with it, or ends it.
 */
import type { Clock } from "../../shared/clock.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import {
  changeSession,
  epochAfter,
  FINAL_EPOCH,
  growthBy,
  INITIAL_EPOCH,
  openSession,
  partitionsFor,
  partitionsOf,
  tellNews,
} from "./fetch-session.ts";
import type { AskedPartition, FetchSession, NamedPartition, PartitionNews, SessionPartition } from "./fetch-session.ts";
import type { KafkaOptions } from "./options.ts";

export const NO_SESSION = 0;
const SESSION_ID_MAX = 2 ** 31 - 1;

export type SessionRequest = {
  readonly sessionId: number;
  readonly sessionEpoch: number;
  readonly usesTopicIds: boolean;
  /** Name of the connection's principal. */
  readonly owner: string;
  readonly partitions: readonly AskedPartition[];
  readonly forgotten: readonly NamedPartition[];
};

/** What a fetch has to read, in order; between `begin` and `finish` it may wait. */
export type FetchPlan = { readonly asked: readonly AskedPartition[] } & (
  | { readonly type: "sessionless" }
  | { readonly type: "opening"; readonly owner: string; readonly usesTopicIds: boolean }
  | {
      readonly type: "incremental";
      readonly session: FetchSession;
      readonly epoch: number;
      readonly partitions: readonly SessionPartition[];
    }
);

export type FetchOutcome = {
  readonly sessionId: number;
  /** Indexes of what the answer names; undefined for everything. */
  readonly told: ReadonlySet<number> | undefined;
};

type Limits = Pick<KafkaOptions, "fetchSessionsMax" | "fetchSessionPartitionsMax" | "fetchSessionIdleMs">;

export class FetchSessions {
  readonly #clock: Clock;
  readonly #limits: Limits;
  readonly #chance: () => number;
  readonly #sessions = new Map<number, FetchSession>();
  #partitionCount = 0;

  /** `chance` returns numbers from 0 to 1, exclusive: an id is not to be met by accident after a restart. */
  constructor(clock: Clock, limits: Limits, chance: () => number = Math.random) {
    this.#clock = clock;
    this.#limits = limits;
    this.#chance = chance;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Of all sessions together. */
  get partitionCount(): number {
    return this.#partitionCount;
  }

  /** Returns FETCH_SESSION_… or INVALID_FETCH_SESSION_EPOCH when the client has to begin anew. */
  begin(request: SessionRequest): FetchPlan | ErrorCode {
    const { sessionId, sessionEpoch, usesTopicIds, owner, partitions: asked } = request;
    // A session of somebody else does not exist for this client.
    const found = this.#sessions.get(sessionId);
    const session = found?.owner === owner ? found : undefined;
    if (sessionEpoch === INITIAL_EPOCH || sessionEpoch === FINAL_EPOCH) {
      if (session !== undefined) this.#close(session);
      const isOpening = sessionEpoch === INITIAL_EPOCH && asked.length > 0;
      return isOpening ? { type: "opening", asked, owner, usesTopicIds } : { type: "sessionless", asked };
    }
    if (session === undefined) return "FETCH_SESSION_ID_NOT_FOUND";
    if (session.epoch !== sessionEpoch) return "INVALID_FETCH_SESSION_EPOCH";
    if (session.usesTopicIds !== usesTopicIds) return "FETCH_SESSION_TOPIC_ID_ERROR";
    return this.#go(session, request);
  }

  /** To be called once a plan's partitions have been read; `news` belongs to `plan.asked`, one for one. */
  finish(plan: FetchPlan, news: readonly PartitionNews[]): FetchOutcome | ErrorCode {
    if (plan.type === "sessionless") return { sessionId: NO_SESSION, told: undefined };
    if (plan.type === "opening") {
      const session = this.#open(plan);
      if (session === undefined) return { sessionId: NO_SESSION, told: undefined };
      tellNews(session, partitionsFor(session, plan.asked), news);
      return { sessionId: session.id, told: undefined };
    }
    const { session, epoch, partitions } = plan;
    // While this fetch waited, its session was ended, or another request went on with it.
    if (this.#sessions.get(session.id) !== session) return "FETCH_SESSION_ID_NOT_FOUND";
    if (session.epoch !== epoch) return "INVALID_FETCH_SESSION_EPOCH";
    return { sessionId: session.id, told: tellNews(session, partitions, news) };
  }

  #go(session: FetchSession, { partitions, forgotten }: SessionRequest): FetchPlan | ErrorCode {
    const before = session.partitions.size;
    if (this.#partitionCount + growthBy(session, partitions) > this.#limits.fetchSessionPartitionsMax) {
      this.#close(session);
      return "FETCH_SESSION_ID_NOT_FOUND";
    }
    changeSession(session, partitions, forgotten);
    this.#partitionCount += session.partitions.size - before;
    if (session.partitions.size === 0) {
      this.#close(session);
      return { type: "sessionless", asked: [] };
    }
    session.usedMs = this.#clock.monotonicMs();
    session.epoch = epochAfter(session.epoch);
    const read = partitionsOf(session);
    const asked = read.map((each) => each.asked);
    return { type: "incremental", asked, session, epoch: session.epoch, partitions: read };
  }

  #open({ asked, owner, usesTopicIds }: FetchPlan & { readonly type: "opening" }): FetchSession | undefined {
    const openedMs = this.#clock.monotonicMs();
    if (!this.#makeRoom(asked.length, openedMs)) return undefined;
    const session = openSession({ id: this.#newId(), owner, usesTopicIds, openedMs }, asked);
    this.#sessions.set(session.id, session);
    this.#partitionCount += session.partitions.size;
    return session;
  }

  #makeRoom(partitionCount: number, nowMs: number): boolean {
    const { fetchSessionsMax, fetchSessionPartitionsMax } = this.#limits;
    if (partitionCount > fetchSessionPartitionsMax) return false;
    while (
      this.#sessions.size >= fetchSessionsMax ||
      this.#partitionCount + partitionCount > fetchSessionPartitionsMax
    ) {
      const given = this.#evictable(partitionCount, nowMs);
      if (given === undefined) return false;
      this.#close(given);
    }
    return true;
  }

  #evictable(partitionCount: number, nowMs: number): FetchSession | undefined {
    const { fetchSessionIdleMs } = this.#limits;
    let idlest: FetchSession | undefined;
    let smallest: FetchSession | undefined;
    for (const session of this.#sessions.values()) {
      if (idlest === undefined || session.usedMs < idlest.usedMs) idlest = session;
      const isOld = nowMs - session.openedMs > fetchSessionIdleMs;
      if (isOld && (smallest === undefined || session.partitions.size < smallest.partitions.size)) smallest = session;
    }
    if (idlest !== undefined && nowMs - idlest.usedMs > fetchSessionIdleMs) return idlest;
    return smallest !== undefined && smallest.partitions.size < partitionCount ? smallest : undefined;
  }

  #close(session: FetchSession): void {
    if (this.#sessions.delete(session.id)) this.#partitionCount -= session.partitions.size;
  }

  #newId(): number {
    for (;;) {
      const id = 1 + Math.floor(this.#chance() * SESSION_ID_MAX);
      if (!this.#sessions.has(id)) return id;
    }
  }
}
