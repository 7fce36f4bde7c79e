/**
 * A member of a consumer group on behalf of somebody who is connected by WebSocket: it speaks the newer protocol (KIP-848)
 * with the coordinator of this hub, as Kafka clients do from outside.
 *
 *   join ─▶ heartbeat every few seconds ─▶ what may be read has changed: let go, tell so, take what is new ─▶ … ─▶ leave
 *
 * A member that the group has given up (the program stood still) joins again; what was not acknowledged comes again then.
 */
import { randomUUID } from "node:crypto";
import { StreamError } from "../../../shared/errors.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import type { Offset } from "../../../shared/ids.ts";
import type { Engine, TopicPartition } from "../../engine/engine.ts";
import { JOIN_EPOCH, LEAVE_EPOCH } from "../../group/consumer/consumer-state.ts";
import type { RunningTimer, Timers } from "../../group/deadline-timers.ts";
import type { AssignedTopic, ConsumerHeartbeatRequest, Groups } from "../../group/groups.ts";
import type { Place } from "./live-reader.ts";

/** How long the group waits for a member that has to let go of partitions. */
const REBALANCE_MS = 30_000;
const RETRY_MS = 1000;
/** The group does not know the member any more, or not so: it joins again. */
const lostErrors: ReadonlySet<ErrorCode | null> = new Set(["UNKNOWN_MEMBER_ID", "FENCED_MEMBER_EPOCH"]);

export type GroupMemberParts = {
  readonly engine: Pick<Engine, "topics" | "offsets">;
  readonly groups: Pick<Groups, "consumerHeartbeat" | "commit" | "committed">;
  readonly timers: Timers;
  readonly group: string;
  readonly topics: readonly string[];
  /** Where a partition is begun of which nothing is committed, or what is committed is not there any more. */
  readonly from: "earliest" | "latest";
  readonly clientId: string;
  /** As Kafka shows it: "/127.0.0.1". */
  readonly clientHost: string;
  readonly mayDescribe: (topic: string) => boolean;
  /** Resolves when nothing of them is on its way any more: then others may have them. */
  readonly onRevoked: (at: readonly TopicPartition[]) => Promise<void>;
  readonly onAssigned: (places: readonly Place[]) => void;
  /** The member cannot go on. */
  readonly onFailed: (error: StreamError) => void;
};

export class GroupMember {
  readonly #parts: GroupMemberParts;
  #memberId = randomUUID() as string;
  #epoch = JOIN_EPOCH;
  /** By topic id. */
  #owned: ReadonlyMap<string, ReadonlySet<number>> = new Map();
  #timer: RunningTimer | undefined;
  #phase: "new" | "member" | "left" = "new";

  constructor(parts: GroupMemberParts) {
    this.#parts = parts;
  }

  get memberId(): string {
    return this.#memberId;
  }

  /** @throws StreamError INVALID_GROUP_ID, GROUP_MAX_SIZE_REACHED, INCONSISTENT_GROUP_PROTOCOL, … */
  async join(): Promise<void> {
    this.#phase = "member";
    const error = await this.#beat();
    if (error !== undefined) throw error;
  }

  /** What was read up to `offset` is done with, durable on return. @throws StreamError STALE_MEMBER_EPOCH, UNKNOWN_MEMBER_ID, … */
  async commit(places: readonly { readonly at: TopicPartition; readonly offset: Offset }[]): Promise<void> {
    const { groups, group } = this.#parts;
    const results = await groups.commit({
      ...{ group, generation: this.#epoch, memberId: this.#memberId, instanceId: null, knowsMemberEpochs: true },
      offsets: places.map(({ at, offset }) => ({ ...at, offset, leaderEpoch: -1, metadata: null })),
    });
    const error = results.find((each) => each !== null);
    if (error !== undefined) throw new StreamError(error, `group ${group} does not take the acknowledgement`);
  }

  async leave(): Promise<void> {
    if (this.#phase !== "member") return;
    this.#phase = "left";
    this.#timer?.cancel();
    await this.#parts.groups.consumerHeartbeat(this.#request({ epoch: LEAVE_EPOCH }));
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel();
    if (this.#phase !== "member") return;
    this.#timer = this.#parts.timers.start(delayMs, () => {
      void this.#beat().then((error) => {
        if (error !== undefined && this.#phase === "member") this.#parts.onFailed(error);
      });
    });
  }

  /** Returns what the member cannot live with. */
  async #beat(): Promise<StreamError | undefined> {
    const { groups, group } = this.#parts;
    const isJoin = this.#epoch === JOIN_EPOCH;
    const request = isJoin ? this.#joinRequest() : this.#request({ owned: this.#owned });
    const { error, message, memberId, epoch, heartbeatIntervalMs, assignment } =
      await groups.consumerHeartbeat(request);
    if (this.#phase !== "member") return undefined;
    if (lostErrors.has(error) && !isJoin) {
      await this.#letGo(new Map());
      this.#epoch = JOIN_EPOCH;
      this.#memberId = randomUUID();
      this.#schedule(RETRY_MS);
      return undefined;
    }
    if (error === "COORDINATOR_NOT_AVAILABLE") {
      this.#schedule(RETRY_MS);
      return undefined;
    }
    if (error === "GROUP_ID_NOT_FOUND" && isJoin) {
      const hint = "Use another group, or set group.protocol=consumer at its other members and let them join anew.";
      return new StreamError("INCONSISTENT_GROUP_PROTOCOL", `group ${group} has members of the older protocol`, {
        hint,
      });
    }
    if (error !== null) return new StreamError(error, message ?? `group ${group} does not take the member`);
    this.#memberId = memberId ?? this.#memberId;
    this.#epoch = epoch;
    const hasChanged = assignment !== null && (await this.#take(assignment));
    // What was let go of is others' only when the group hears it.
    this.#schedule(hasChanged ? 0 : heartbeatIntervalMs);
    return undefined;
  }

  /** Whether that is another set than before. */
  async #take(assignment: readonly AssignedTopic[]): Promise<boolean> {
    const wanted = new Map(assignment.map(({ topicId, partitions }) => [topicId, new Set(partitions)]));
    const before = this.#owned;
    const kept = new Map([...before].map(([id, own]) => [id, both(own, wanted.get(id))]));
    const hasLost = [...before].some(([id, own]) => own.size > (kept.get(id)?.size ?? 0));
    if (hasLost) await this.#letGo(kept);
    const added = [...wanted].flatMap(([id, own]) => this.#placesOf(id, without(own, before.get(id))));
    this.#owned = wanted;
    if (added.length > 0 && this.#phase === "member") this.#parts.onAssigned(added.map((at) => this.#startOf(at)));
    return hasLost || added.length > 0;
  }

  async #letGo(kept: ReadonlyMap<string, ReadonlySet<number>>): Promise<void> {
    const lost = [...this.#owned].flatMap(([id, own]) => this.#placesOf(id, without(own, kept.get(id))));
    this.#owned = kept;
    if (lost.length > 0) await this.#parts.onRevoked(lost);
  }

  /** A topic that is gone has none. */
  #placesOf(topicId: string, partitions: ReadonlySet<number>): TopicPartition[] {
    const topic = [...this.#parts.engine.topics.values()].find(({ id }) => id.toString("hex") === topicId)?.name;
    return topic === undefined ? [] : [...partitions].map((partition) => ({ topic, partition }));
  }

  #startOf(at: TopicPartition): Place {
    const { groups, group, engine, from } = this.#parts;
    const { logStartOffset, highWatermark, logEndOffset } = engine.offsets(at);
    const committed = groups.committed(group).get(at.topic)?.get(at.partition)?.offset;
    if (committed !== undefined && committed <= logEndOffset) return { ...at, offset: committed };
    return { ...at, offset: from === "earliest" ? logStartOffset : highWatermark };
  }

  #joinRequest(): ConsumerHeartbeatRequest {
    return this.#request({
      epoch: JOIN_EPOCH,
      rebalanceTimeoutMs: REBALANCE_MS,
      subscribedNames: this.#parts.topics,
      owned: new Map(),
    });
  }

  #request(over: Partial<ConsumerHeartbeatRequest>): ConsumerHeartbeatRequest {
    const { group, clientId, clientHost, mayDescribe } = this.#parts;
    return {
      ...{ group, clientId, clientHost, mayDescribe, memberId: this.#memberId, epoch: this.#epoch },
      ...{ instanceId: null, rackId: null, rebalanceTimeoutMs: -1, subscribedNames: null, subscribedRegex: null },
      ...{ assignor: null, owned: null },
      ...over,
    };
  }
}

type Numbers = ReadonlySet<number>;

const both = (own: Numbers, other: Numbers = new Set()): Numbers => new Set([...own].filter((each) => other.has(each)));

const without = (own: Numbers, other: Numbers = new Set()): Numbers =>
  new Set([...own].filter((each) => !other.has(each)));
