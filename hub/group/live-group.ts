/**
 * One group at work: feeds what clients and timers do into the pure coordinator of its kind, and carries its effects out.
 *
 *   request | timer ──▶ the group's queue ──▶ transition ──▶ 1. persist  2. take the new state over  3. answer, timers
 *
 * A crash before 1 leaves what was, and nobody was told anything. A crash after 1 leaves a state that members were not
 * told of: they hear that they are behind and come up. When persisting fails, the state stays as it was and the request
 * is refused with COORDINATOR_NOT_AVAILABLE, on which clients try again.
 *
 * A group is classic or of the newer protocol. While it has no members it becomes what the next one to join speaks, and
 * its numbers go on: a generation is never used twice, whatever it is called.
 */
import type { Clock } from "../../shared/clock.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";
import { checkCommit, checkHeartbeat, checkOffsetDelete } from "./checks.ts";
import { checkConsumerCommit, checkConsumerFetch, checkConsumerOffsetDelete } from "./consumer/consumer-checks.ts";
import { consumerTransition } from "./consumer/consumer-coordinator.ts";
import { describeConsumerGroup, listConsumerGroup, stateName } from "./consumer/consumer-describe.ts";
import { encodeConsumerSnapshot } from "./consumer/consumer-snapshot.ts";
import { emptyConsumerGroup, JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH } from "./consumer/consumer-state.ts";
import type {
  ConsumerGroupEffect,
  ConsumerGroupEvent,
  ConsumerGroupLimits,
  ConsumerGroupState,
  ConsumerTimer,
  ConsumerTransition,
  SavedConsumerGroup,
} from "./consumer/consumer-state.ts";
import { failedHeartbeat, refusal } from "./consumer/members.ts";
import type { GroupTopics, Matched } from "./consumer/topics.ts";
import { transition } from "./coordinator.ts";
import { DeadlineTimers, type Timers } from "./deadline-timers.ts";
import { deadGroup, describeGroup, listClassicGroup } from "./describe.ts";
import { GroupQueue } from "./group-queue.ts";
import { emptyGroup, sessionMs } from "./group-state.ts";
import type {
  GroupEffect,
  GroupEvent,
  GroupLimits,
  GroupState,
  GroupTimer,
  Member,
  SavedGroup,
  Transition,
} from "./group-state.ts";
import type {
  AnyGroupListing,
  CommitRequest,
  ConsumerHeartbeatRequest,
  DescribedConsumerGroup,
  DescribedGroup,
  HeartbeatRequest,
} from "./groups.ts";
import type { CommittedOffsets, GroupEngine } from "./offsets.ts";
import { failedJoin, failedSync } from "./parked-requests.ts";
import { encodeSnapshot } from "./snapshot.ts";
import type { WaitingRequests } from "./waiting-requests.ts";

export type LiveGroupOptions = GroupLimits &
  ConsumerGroupLimits & {
    /** When an expired session or rebalance could not be persisted. */
    readonly persistRetryMs: number;
  };

/** What all groups share. */
export type GroupRim = {
  readonly engine: GroupEngine;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly options: LiveGroupOptions;
  readonly offsets: CommittedOffsets;
  readonly waiting: WaitingRequests;
  readonly topics: GroupTopics;
};

export type Membership =
  | { readonly type: "classic"; readonly state: GroupState }
  | { readonly type: "consumer"; readonly state: ConsumerGroupState };

type Next = { readonly membership: Membership; readonly effects: readonly (GroupEffect | ConsumerGroupEffect)[] };
type Persist = Extract<Next["effects"][number], { type: "persist" }>;
export type AnyEvent = GroupEvent | ConsumerGroupEvent;
type AnyTimer = GroupTimer | ConsumerTimer;

const nothingMatched: Matched = { catalog: new Map(), topics: new Map() };

export class LiveGroup {
  readonly name: string;
  readonly queue: GroupQueue;
  readonly #rim: GroupRim;
  readonly #timers: DeadlineTimers<AnyTimer>;
  readonly #onDead: () => void;
  #membership: Membership = { type: "classic", state: emptyGroup };
  /** The disk knows the group's members. */
  #isSaved = false;
  /** A group whose last offset was deleted stays for a while, as in Kafka: its owner may want to delete it next. */
  #hadOffsets = false;
  /** What the last sweep saw: still the same object means that nothing has happened since. */
  #swept: Membership | undefined;

  constructor(
    name: string,
    rim: GroupRim,
    on: { readonly idle: (group: LiveGroup) => void; readonly dead: () => void },
  ) {
    this.name = name;
    this.#rim = rim;
    this.queue = new GroupQueue(() => {
      this.#hadOffsets ||= rim.offsets.has(name);
      on.idle(this);
    });
    this.#timers = new DeadlineTimers<AnyTimer>(rim, (timer) => this.#onTimerDue(timer));
    this.#onDead = on.dead;
  }

  get type(): Membership["type"] {
    return this.#membership.type;
  }

  /** As the disk has it. */
  restore(restored: Next): void {
    this.#isSaved = true;
    this.#takeOver(restored);
  }

  submit(event: AnyEvent, matched: Matched = nothingMatched): void {
    this.queue.run("exclusive", () => this.#apply(event, matched));
  }

  /** Does not wait for the group's queue: a slow disk must not cost members their sessions. */
  heartbeat(request: HeartbeatRequest): ErrorCode | null {
    if (this.#membership.type !== "classic") return "UNKNOWN_MEMBER_ID";
    const { error, alive } = checkHeartbeat(this.#membership.state, request);
    if (alive !== null) this.#onSignOfLife(alive);
    return error;
  }

  /** Answered at once where nothing has to reach the disk, for the same reason. */
  consumerHeartbeat(event: Extract<ConsumerGroupEvent, { type: "consumer-heartbeat" }>, matched: Matched): void {
    if (this.#membership.type !== "consumer") return this.submit(event, matched);
    const next = this.#next(event, matched);
    if (!next.effects.some(isPersist)) return this.#takeOver(next);
    const { memberId, epoch } = event.request;
    const isLeaving = epoch === LEAVE_EPOCH || epoch === LEAVE_STATIC_EPOCH;
    const timer: ConsumerTimer = { kind: "session", memberId };
    // Its answer has to wait for the disk; its session has not.
    if (!isLeaving && this.#timers.has(timer)) {
      this.#timers.start(timer, this.#rim.options.consumerSessionTimeoutMs);
    }
    this.submit(event, matched);
  }

  /** The expressions whose topics a heartbeat needs to know. */
  regexesToMatch({ subscribedRegex }: ConsumerHeartbeatRequest): readonly string[] {
    const regexes = new Set<string>();
    const known = this.#membership.type === "consumer" ? this.#membership.state : undefined;
    if (known !== undefined && known.catalog !== this.#rim.topics.catalog) {
      for (const member of known.members.values()) regexes.add(member.subscribedRegex);
    }
    if (subscribedRegex !== null && known?.matches.has(subscribedRegex) !== true) regexes.add(subscribedRegex);
    regexes.delete("");
    return [...regexes];
  }

  /** For each offset, whether the group takes it from this sender now; the offset itself has its own checks. */
  judgeCommit(request: CommitRequest): readonly (ErrorCode | null)[] {
    const membership = this.#membership;
    if (membership.type === "classic") {
      const { error, alive } = checkCommit(membership.state, request);
      if (alive !== null) this.#onSignOfLife(alive);
      return request.offsets.map(() => error);
    }
    const verdict = checkConsumerCommit(membership.state, request, this.#rim.topics.catalog);
    if (typeof verdict === "string") return request.offsets.map(() => verdict);
    return request.offsets.map(({ topic, partition }) => verdict(topic, partition));
  }

  judgeOffsetFetch(member: { readonly memberId: string | null; readonly memberEpoch: number }): ErrorCode | null {
    return this.#membership.type === "classic" ? null : checkConsumerFetch(this.#membership.state, member);
  }

  judgeOffsetDelete(): ErrorCode | { readonly inUse: ReadonlySet<string> | "all" } {
    const { type, state } = this.#membership;
    return type === "classic" ? checkOffsetDelete(state) : checkConsumerOffsetDelete(state);
  }

  list(): AnyGroupListing {
    const { type, state } = this.#membership;
    return type === "classic" ? listClassicGroup(this.name, state) : listConsumerGroup(this.name, state);
  }

  describe(): DescribedGroup {
    const { type, state } = this.#membership;
    return type === "classic" ? describeGroup(this.name, state) : deadGroup(this.name);
  }

  describeConsumer(): DescribedConsumerGroup | undefined {
    const { type, state } = this.#membership;
    return type === "consumer" ? describeConsumerGroup(this.name, state) : undefined;
  }

  /** Without members, pending ids and committed offsets there is nothing in a group to miss. */
  get isForgettable(): boolean {
    const { type, state } = this.#membership;
    const isEmpty =
      type === "classic" ? state.phase === "Empty" && state.pendingMembers.size === 0 : state.members.size === 0;
    return isEmpty && this.queue.isIdle && !this.#rim.offsets.has(this.name);
  }

  /** Requests that were refused leave such a group behind. */
  get isTrace(): boolean {
    return this.isForgettable && !this.#isSaved && !this.#hadOffsets;
  }

  /** Whether nothing has happened since the last call. */
  sweep(): boolean {
    const isUntouched = this.#swept === this.#membership;
    this.#swept = this.#membership;
    return isUntouched;
  }

  stopTimers(): void {
    this.#timers.cancelAll();
  }

  #next(event: AnyEvent, matched: Matched): Next {
    const membership = this.#membership;
    switch (event.type) {
      case "join": {
        const state = asClassic(membership);
        if (state !== undefined) return this.#classic(state, event);
        const result = failedJoin("INCONSISTENT_GROUP_PROTOCOL", event.request.memberId);
        return { membership, effects: [{ type: "answer-join", to: event.to, result }] };
      }
      case "sync":
        if (membership.type === "classic") return this.#classic(membership.state, event);
        return {
          membership,
          effects: [{ type: "answer-sync", to: event.to, result: failedSync("UNKNOWN_MEMBER_ID") }],
        };
      case "leave": {
        if (membership.type === "classic") return this.#classic(membership.state, event);
        const members = event.members.map((who) => ({ ...who, error: "UNKNOWN_MEMBER_ID" as const }));
        return { membership, effects: [{ type: "answer-leave", to: event.to, result: { error: null, members } }] };
      }
      case "consumer-heartbeat": {
        const isJoin = event.request.epoch === JOIN_EPOCH;
        const state = isJoin || membership.type === "consumer" ? asConsumer(membership) : undefined;
        if (state !== undefined) {
          const next = this.#consumer(state, event, matched);
          // Who is refused has not made the group another one.
          return next.effects.some(isPersist) || membership.type === "consumer" ? next : { ...next, membership };
        }
        const fault = isJoin
          ? refusal("GROUP_ID_NOT_FOUND", `group ${this.name} has members of the classic protocol`)
          : refusal("UNKNOWN_MEMBER_ID", `group ${this.name} is not a consumer group`);
        return { membership, effects: [{ type: "answer-heartbeat", to: event.to, result: failedHeartbeat(fault) }] };
      }
      case "consumer-removal": {
        if (membership.type === "consumer") return this.#consumer(membership.state, event, matched);
        const result = event.instanceIds.map(() => "UNKNOWN_MEMBER_ID" as const);
        return { membership, effects: [{ type: "answer-removal", to: event.to, result }] };
      }
      default:
        // The timers of a group are of its own kind: they end when it becomes another.
        if (membership.type === "classic") return this.#classic(membership.state, event as GroupEvent);
        return this.#consumer(membership.state, event as ConsumerGroupEvent, matched);
    }
  }

  #classic(state: GroupState, event: GroupEvent): Next {
    return classicNext(transition(state, event, this.#rim.options));
  }

  #consumer(state: ConsumerGroupState, event: ConsumerGroupEvent, matched: Matched): Next {
    const { options: limits, topics } = this.#rim;
    return consumerNext(consumerTransition(state, event, { limits, world: topics.world(matched) }));
  }

  #apply(event: AnyEvent, matched: Matched): void | Promise<void> {
    const next = this.#next(event, matched);
    const persist = next.effects.findLast(isPersist);
    const isOnDisk = this.#isSaved || this.#rim.offsets.has(this.name);
    if (persist === undefined || (persist.group === null && !isOnDisk)) return this.#takeOver(next);
    return this.#persistAndTakeOver(event, next, persist);
  }

  async #persistAndTakeOver(event: AnyEvent, next: Next, persist: Persist): Promise<void> {
    const { engine, logger } = this.#rim;
    try {
      await engine.saveGroup(this.name, encode(next.membership.type, persist));
    } catch (error) {
      logger.warn({ group: this.name, event: event.type, error }, "persisting a group failed");
      return this.#onPersistFailed(event);
    }
    this.#isSaved = persist.group !== null;
    this.#takeOver(next);
  }

  #onPersistFailed(event: AnyEvent): void {
    if (event.type !== "timer-expired") return this.#rim.waiting.refuse(event.to, "COORDINATOR_NOT_AVAILABLE");
    // A member may have been heard meanwhile; then its session runs already.
    if (!this.#timers.has(event.timer)) this.#timers.start(event.timer, this.#rim.options.persistRetryMs);
  }

  #takeOver({ membership, effects }: Next): void {
    const before = phaseOf(this.#membership);
    const phase = phaseOf(membership);
    if (membership.type !== this.#membership.type) this.#timers.cancelAll();
    this.#membership = membership;
    if (phase === "Dead") {
      this.#timers.cancelAll();
      this.#onDead();
    }
    for (const effect of effects) this.#carryOut(effect);
    if (phase !== before) {
      const { type, state } = membership;
      const generation = type === "classic" ? state.generation : state.epoch;
      const members = state.members.size;
      this.#rim.logger.debug({ group: this.name, type, generation, phase, members }, "group changed");
    }
  }

  #carryOut(effect: Next["effects"][number]): void {
    if (effect.type === "start-timer") this.#timers.start(effect.timer, effect.delayMs);
    else if (effect.type === "cancel-timer") this.#timers.cancel(effect.timer);
    else if (effect.type !== "persist") this.#rim.waiting.answer(effect);
  }

  #onTimerDue(timer: AnyTimer): void {
    this.queue.run("exclusive", () => {
      if (!this.#timers.takeDue(timer)) return undefined;
      return this.#apply({ type: "timer-expired", timer } as AnyEvent, nothingMatched);
    });
  }

  #onSignOfLife(member: Member): void {
    this.#timers.start({ kind: "session", memberId: member.memberId }, sessionMs(member, this.#rim.options));
  }
}

export function classicNext({ state, effects }: Transition): Next {
  return { membership: { type: "classic", state }, effects };
}

export function consumerNext({ state, effects }: ConsumerTransition): Next {
  return { membership: { type: "consumer", state }, effects };
}

/** The group for a classic member to join; undefined while it has members of the other kind. */
function asClassic({ type, state }: Membership): GroupState | undefined {
  if (type === "classic") return state;
  return state.members.size > 0 || state.isDead ? undefined : { ...emptyGroup, generation: state.epoch };
}

function asConsumer({ type, state }: Membership): ConsumerGroupState | undefined {
  if (type === "consumer") return state;
  return state.phase === "Empty" ? emptyConsumerGroup(state.generation) : undefined;
}

function isPersist(effect: Next["effects"][number]): effect is Persist {
  return effect.type === "persist";
}

function phaseOf({ type, state }: Membership): string {
  return type === "classic" ? state.phase : stateName(state);
}

function encode(type: Membership["type"], { group }: Persist): Uint8Array | undefined {
  if (group === null) return undefined;
  return type === "classic" ? encodeSnapshot(group as SavedGroup) : encodeConsumerSnapshot(group as SavedConsumerGroup);
}
