/**
 * The consumer groups at work: feeds what clients and timers do into the pure coordinator, and carries its effects out.
 *
 *   request | timer ──▶ the group's queue ──▶ transition ──▶ 1. persist  2. take the new state over  3. answer, timers
 *
 * A crash before 1 leaves the last stable generation, and nobody was told anything. A crash after 1 leaves a generation
 * whose members were not told: they hear ILLEGAL_GENERATION or UNKNOWN_MEMBER_ID and join again. When persisting fails,
 * the state stays as it was and the request is refused with COORDINATOR_NOT_AVAILABLE, on which clients try again.
 */
import { randomUUID } from "node:crypto";
import type { Clock } from "../../shared/clock.ts";
import { toStreamError, type ErrorCode } from "../../shared/errors.ts";
import type { Partition } from "../../shared/ids.ts";
import type { Logger } from "../../shared/logger.ts";
import { checkCommit, checkGroupId, checkHeartbeat, checkOffsetDelete, isSimpleCommit } from "./checks.ts";
import { transition } from "./coordinator.ts";
import { DeadlineTimers, type RunningTimer, type Timers } from "./deadline-timers.ts";
import { deadGroup, describeGroup, listGroup } from "./describe.ts";
import { GroupQueue } from "./group-queue.ts";
import { defaultGroupLimits, emptyGroup, restoreGroup, sessionMs } from "./group-state.ts";
import type {
  GroupEffect,
  GroupEvent,
  GroupLimits,
  GroupState,
  GroupTimer,
  Member,
  Transition,
} from "./group-state.ts";
import type {
  CommitRequest,
  CommittedPosition,
  DescribedGroup,
  GroupListing,
  Groups,
  HeartbeatRequest,
  JoinRequest,
  JoinResult,
  LeaveResult,
  MemberIdentity,
  SyncRequest,
  SyncResult,
} from "./groups.ts";
import { checkJoinRequest } from "./join.ts";
import { CommittedOffsets, type GroupEngine } from "./offsets.ts";
import { failedJoin, failedSync } from "./parked-requests.ts";
import { decodeSnapshot, encodeSnapshot } from "./snapshot.ts";
import { WaitingRequests } from "./waiting-requests.ts";

export type GroupCoordinatorOptions = GroupLimits & {
  /** Beyond it, new groups are refused with GROUP_MAX_SIZE_REACHED. Groups found on disk are always served. */
  readonly groupsMax: number;
  /** Requests that wait for one group's disk writes; beyond it they are refused with COORDINATOR_NOT_AVAILABLE. */
  readonly requestsWaitingMax: number;
  /** How often to look for groups without members and offsets, to forget them; Kafka's retention check, 10 minutes. */
  readonly idleGroupSweepMs: number;
  /** When an expired session or rebalance could not be persisted. */
  readonly persistRetryMs: number;
};

export const defaultGroupCoordinatorOptions: GroupCoordinatorOptions = {
  ...defaultGroupLimits,
  groupsMax: 1000,
  requestsWaitingMax: 1000,
  idleGroupSweepMs: 600_000,
  persistRetryMs: 1_000,
};

/** A member id is an int16-length string on the wire, and a client id may fill one by itself. */
const MEMBER_ID_PREFIX_LENGTH_MAX = 255;

export type GroupCoordinatorParts = {
  readonly engine: GroupEngine;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly options?: Partial<GroupCoordinatorOptions>;
  /** Random; tests give numbers. */
  readonly newId?: () => string;
};

type LiveGroup = {
  readonly name: string;
  state: GroupState;
  readonly queue: GroupQueue;
  readonly timers: DeadlineTimers;
  /** What the sweep saw last: still the same object means that nothing has happened since. */
  sweptState: GroupState | undefined;
};

export class GroupCoordinator implements Groups {
  readonly #parts: GroupCoordinatorParts;
  readonly #options: GroupCoordinatorOptions;
  readonly #newId: () => string;
  readonly #offsets: CommittedOffsets;
  readonly #groups = new Map<string, LiveGroup>();
  readonly #waiting = new WaitingRequests();
  #sweep: RunningTimer;
  #phase: "open" | "closing" = "open";
  #onAllIdle: (() => void) | undefined;

  private constructor(parts: GroupCoordinatorParts, offsets: CommittedOffsets) {
    this.#parts = parts;
    this.#options = { ...defaultGroupCoordinatorOptions, ...parts.options };
    this.#newId = parts.newId ?? randomUUID;
    this.#offsets = offsets;
    this.#sweep = this.#startSweep();
  }

  /**
   * Loads all groups; they are stable at once, without a rebalance, and each member has a full session to be heard.
   * @throws StreamError LOG_VERSION when a newer version wrote a group.
   */
  static async open(parts: GroupCoordinatorParts): Promise<GroupCoordinator> {
    const saved = await parts.engine.loadGroups();
    const offsets = await CommittedOffsets.open(parts);
    const loaded = saved.map(({ group, snapshot }) => ({ group, restored: restore(group, snapshot, parts.logger) }));
    const coordinator = new GroupCoordinator(parts, offsets);
    for (const { group, restored } of loaded) coordinator.#takeOver(coordinator.#add(group), restored);
    for (const group of offsets.groups()) if (!coordinator.#groups.has(group)) coordinator.#add(group);
    return coordinator;
  }

  async join(request: JoinRequest): Promise<JoinResult> {
    const fault = checkJoinRequest(request, this.#options);
    if (fault !== null) return failedJoin(fault, request.memberId);
    const isNew = request.memberId === "";
    const group = isNew ? this.#findOrCreate(request.group) : this.#find(request.group, "UNKNOWN_MEMBER_ID");
    if (typeof group === "string") return failedJoin(group, request.memberId);
    const prefix = (request.instanceId ?? request.clientId).slice(0, MEMBER_ID_PREFIX_LENGTH_MAX);
    const { id, result } = this.#waiting.openJoin(request.memberId);
    this.#submit(group, { type: "join", to: id, request, newMemberId: `${prefix}-${this.#newId()}` });
    return result;
  }

  async sync(request: SyncRequest): Promise<SyncResult> {
    const group = this.#find(request.group, "UNKNOWN_MEMBER_ID");
    if (typeof group === "string") return failedSync(group);
    const { id, result } = this.#waiting.openSync();
    this.#submit(group, { type: "sync", to: id, request });
    return result;
  }

  /** Does not wait for the group's queue: a slow disk must not cost members their sessions. */
  heartbeat(request: HeartbeatRequest): ErrorCode | null {
    const group = this.#find(request.group, "UNKNOWN_MEMBER_ID", Infinity);
    if (typeof group === "string") return group;
    const { error, alive } = checkHeartbeat(group.state, request);
    if (alive !== null) this.#onSignOfLife(group, alive);
    return error;
  }

  async leave(name: string, members: readonly MemberIdentity[]): Promise<LeaveResult> {
    const group = this.#find(name, "UNKNOWN_MEMBER_ID");
    if (group === "UNKNOWN_MEMBER_ID")
      return { error: null, members: members.map((who) => ({ ...who, error: group })) };
    if (typeof group === "string") return { error: group, members: [] };
    const { id, result } = this.#waiting.openLeave();
    this.#submit(group, { type: "leave", to: id, members });
    return result;
  }

  /** GROUP_ID_NOT_FOUND for a member of an unknown group; before OffsetCommit v9 clients know it as ILLEGAL_GENERATION. */
  async commit(request: CommitRequest): Promise<readonly (ErrorCode | null)[]> {
    const isSimple = isSimpleCommit(request);
    const group = isSimple ? this.#findOrCreate(request.group) : this.#find(request.group, "GROUP_ID_NOT_FOUND");
    if (typeof group === "string") return request.offsets.map(() => group);
    return this.#inTurn(group, "shared", async () => {
      const { error, alive } = checkCommit(group.state, request);
      if (alive !== null) this.#onSignOfLife(group, alive);
      if (error !== null) return request.offsets.map(() => error);
      return this.#offsets.commit(group.name, request.offsets);
    });
  }

  committed(group: string): ReadonlyMap<string, ReadonlyMap<Partition, CommittedPosition>> {
    return this.#offsets.of(group);
  }

  list(): readonly GroupListing[] {
    return [...this.#groups.values()].map(({ name, state }) => listGroup(name, state));
  }

  describe(name: string): DescribedGroup {
    const group = this.#groups.get(name);
    return group === undefined ? deadGroup(name) : describeGroup(name, group.state);
  }

  async delete(name: string): Promise<ErrorCode | null> {
    const group = this.#find(name, "GROUP_ID_NOT_FOUND");
    return typeof group === "string" ? group : this.#submitDelete(group);
  }

  async deleteOffsets(name: string, at: readonly { readonly topic: string; readonly partition: Partition }[]) {
    const refuse = (error: ErrorCode) => ({ error, partitions: at.map(() => error) });
    const group = this.#find(name, "GROUP_ID_NOT_FOUND");
    if (typeof group === "string") return refuse(group);
    return this.#inTurn(group, "exclusive", async () => {
      const verdict = checkOffsetDelete(group.state);
      if (typeof verdict === "string") return refuse(verdict);
      const { inUse } = verdict;
      const partitions = at.map((each): ErrorCode | null => {
        if (!this.#offsets.isKnown(each)) return "UNKNOWN_TOPIC_OR_PARTITION";
        return inUse === "all" || inUse.has(each.topic) ? "GROUP_SUBSCRIBED_TO_TOPIC" : null;
      });
      const deletable = at.filter((_, index) => partitions[index] === null);
      const isDeleted = await this.#offsets.delete(name, deletable);
      return isDeleted ? { error: null, partitions } : refuse("COORDINATOR_NOT_AVAILABLE");
    });
  }

  /** @throws StreamError of the engine; the offsets are gone from the view nevertheless. */
  async forgetTopic(topic: string): Promise<void> {
    const forgotten = [...this.#groups.values()].map((group) =>
      this.#inTurn(group, "exclusive", () => this.#offsets.forgetTopic(group.name, topic)),
    );
    await Promise.all(forgotten);
  }

  /**
   * Refuses new requests, lets those under way reach the disk, then answers the parked ones: their clients look for the
   * coordinator, and find their group as it was once the hub is back.
   */
  async close(): Promise<void> {
    if (this.#phase === "closing") return;
    this.#phase = "closing";
    this.#sweep.cancel();
    const idle = Promise.withResolvers<void>();
    this.#onAllIdle = idle.resolve;
    this.#onIdle();
    await idle.promise;
    for (const { timers } of this.#groups.values()) timers.cancelAll();
    this.#waiting.refuseAll("COORDINATOR_NOT_AVAILABLE");
  }

  #find(name: string, missing: ErrorCode, waitingMax = this.#options.requestsWaitingMax): LiveGroup | ErrorCode {
    if (this.#phase === "closing") return "COORDINATOR_NOT_AVAILABLE";
    const fault = checkGroupId(name);
    if (fault !== null) return fault;
    const group = this.#groups.get(name);
    if (group === undefined) return missing;
    return group.queue.length >= waitingMax ? "COORDINATOR_NOT_AVAILABLE" : group;
  }

  #findOrCreate(name: string): LiveGroup | ErrorCode {
    const found = this.#find(name, "GROUP_ID_NOT_FOUND");
    if (found !== "GROUP_ID_NOT_FOUND") return found;
    if (this.#groups.size < this.#options.groupsMax) return this.#add(name);
    const idle = [...this.#groups.values()].find((group) => this.#isForgettable(group));
    if (idle === undefined) return "GROUP_MAX_SIZE_REACHED";
    // Its deletion reaches the disk in a moment; the client tries again.
    void this.#submitDelete(idle);
    return "COORDINATOR_NOT_AVAILABLE";
  }

  #add(name: string): LiveGroup {
    const group: LiveGroup = {
      name,
      state: emptyGroup,
      queue: new GroupQueue(() => this.#onIdle(group)),
      timers: new DeadlineTimers(this.#parts, (timer) => this.#onTimerDue(group, timer)),
      sweptState: undefined,
    };
    this.#groups.set(name, group);
    return group;
  }

  #submit(group: LiveGroup, event: GroupEvent): void {
    group.queue.run("exclusive", () => this.#apply(group, event));
  }

  #submitDelete(group: LiveGroup): Promise<ErrorCode | null> {
    const { id, result } = this.#waiting.openDelete();
    this.#submit(group, { type: "delete", to: id });
    return result;
  }

  #inTurn<Result>(group: LiveGroup, access: "exclusive" | "shared", work: () => Promise<Result>): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    group.queue.run(access, () => work().then(resolve, reject));
    return promise;
  }

  #apply(group: LiveGroup, event: GroupEvent): void | Promise<void> {
    const next = transition(group.state, event, this.#options);
    const persist = next.effects.findLast((effect) => effect.type === "persist");
    const isOnDisk = group.state.saved !== null || this.#offsets.has(group.name);
    if (persist === undefined || (persist.group === null && !isOnDisk)) return this.#takeOver(group, next);
    return this.#persistAndTakeOver(group, event, { ...next, persist });
  }

  async #persistAndTakeOver(
    group: LiveGroup,
    event: GroupEvent,
    next: Transition & { readonly persist: Extract<GroupEffect, { type: "persist" }> },
  ): Promise<void> {
    const snapshot = next.persist.group === null ? undefined : encodeSnapshot(next.persist.group);
    try {
      await this.#parts.engine.saveGroup(group.name, snapshot);
    } catch (error) {
      this.#parts.logger.warn({ group: group.name, event: event.type, error }, "persisting a group failed");
      return this.#onPersistFailed(group, event);
    }
    this.#takeOver(group, next);
  }

  #onPersistFailed(group: LiveGroup, event: GroupEvent): void {
    if (event.type !== "timer-expired") return this.#waiting.refuse(event.to, "COORDINATOR_NOT_AVAILABLE");
    // A member may have been heard meanwhile; then its session runs already.
    if (!group.timers.has(event.timer)) group.timers.start(event.timer, this.#options.persistRetryMs);
  }

  #takeOver(group: LiveGroup, { state, effects }: Transition): void {
    const phaseBefore = group.state.phase;
    group.state = state;
    if (state.phase === "Dead") {
      group.timers.cancelAll();
      this.#groups.delete(group.name);
      this.#offsets.forgetGroup(group.name);
    }
    for (const effect of effects) this.#carryOut(group, effect);
    if (state.phase !== phaseBefore) {
      const { generation, phase, members } = state;
      this.#parts.logger.debug({ group: group.name, generation, phase, members: members.size }, "group changed");
    }
  }

  #carryOut(group: LiveGroup, effect: GroupEffect): void {
    if (effect.type === "start-timer") group.timers.start(effect.timer, effect.delayMs);
    else if (effect.type === "cancel-timer") group.timers.cancel(effect.timer);
    else if (effect.type !== "persist") this.#waiting.answer(effect);
  }

  #onTimerDue(group: LiveGroup, timer: GroupTimer): void {
    group.queue.run("exclusive", () =>
      group.timers.takeDue(timer) ? this.#apply(group, { type: "timer-expired", timer }) : undefined,
    );
  }

  #onSignOfLife(group: LiveGroup, member: Member): void {
    group.timers.start({ kind: "session", memberId: member.memberId }, sessionMs(member, this.#options));
  }

  #onIdle(group?: LiveGroup): void {
    // Requests that were refused must not leave groups behind.
    if (group !== undefined && this.#isForgettable(group) && group.state.saved === null) {
      group.timers.cancelAll();
      if (this.#groups.get(group.name) === group) this.#groups.delete(group.name);
    }
    if (this.#phase === "closing" && [...this.#groups.values()].every(({ queue }) => queue.isIdle)) this.#onAllIdle?.();
  }

  /** Without members, pending ids and committed offsets there is nothing in a group to miss. */
  #isForgettable(group: LiveGroup): boolean {
    const isEmpty = group.state.phase === "Empty" && group.state.pendingMembers.size === 0;
    return isEmpty && group.queue.isIdle && !this.#offsets.has(group.name);
  }

  #startSweep(): RunningTimer {
    return this.#parts.timers.start(this.#options.idleGroupSweepMs, () => {
      this.#sweep = this.#startSweep();
      for (const group of this.#groups.values()) {
        const isUntouched = group.sweptState === group.state;
        group.sweptState = group.state;
        // When the disk refuses, the next sweep tries again.
        if (isUntouched && this.#isForgettable(group)) void this.#submitDelete(group);
      }
    });
  }
}

/** A damaged snapshot costs its members a rejoin, not the hub its start: the committed offsets are stored apart. */
function restore(group: string, snapshot: Uint8Array, logger: Logger): Transition {
  try {
    return restoreGroup(decodeSnapshot(snapshot));
  } catch (thrown) {
    const error = toStreamError(thrown);
    if (error.code !== "CORRUPT_RECORD") throw error;
    logger.error({ group, error }, "a group's membership is damaged; its members have to join again");
    return restoreGroup({ generation: 0, protocolType: null, protocolName: null, leaderId: null, members: [] });
  }
}
