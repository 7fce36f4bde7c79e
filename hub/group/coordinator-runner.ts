/**
 * The consumer groups, as protocols ask for them: finds or creates the group, opens a waiting request, and hands the event
 * over. What happens then is live-group.ts: persist, take over, answer, in this order.
 */
import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../shared/clock.ts";
import { toStreamError, type ErrorCode } from "../../shared/errors.ts";
import type { Partition } from "../../shared/ids.ts";
import type { Logger } from "../../shared/logger.ts";
import { checkGroupId, isSimpleCommit } from "./checks.ts";
import { defaultConsumerGroupLimits, JOIN_EPOCH, restoreConsumerGroup } from "./consumer/consumer-state.ts";
import { failedHeartbeat, refusal, type Refusal } from "./consumer/members.ts";
import { checkConsumerHeartbeat } from "./consumer/request-check.ts";
import { TopicPatterns } from "./consumer/topic-patterns.ts";
import { GroupTopics } from "./consumer/topics.ts";
import type { RunningTimer, Timers } from "./deadline-timers.ts";
import { deadGroup } from "./describe.ts";
import { defaultGroupLimits, restoreGroup } from "./group-state.ts";
import type {
  AnyGroupListing,
  CommitRequest,
  CommittedPosition,
  ConsumerHeartbeatRequest,
  ConsumerHeartbeatResult,
  DescribedConsumerGroup,
  DescribedGroup,
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
import { classicNext, consumerNext, LiveGroup } from "./live-group.ts";
import type { GroupRim, LiveGroupOptions } from "./live-group.ts";
import { CommittedOffsets, type GroupEngine } from "./offsets.ts";
import { failedJoin, failedSync } from "./parked-requests.ts";
import { decodeSnapshot } from "./snapshot.ts";
import { WaitingRequests } from "./waiting-requests.ts";

export type GroupCoordinatorOptions = LiveGroupOptions & {
  /** Beyond it, new groups are refused with GROUP_MAX_SIZE_REACHED. Groups found on disk are always served. */
  readonly groupsMax: number;
  /** Requests that wait for one group's disk writes; beyond it they are refused with COORDINATOR_NOT_AVAILABLE. */
  readonly requestsWaitingMax: number;
  /** How often to look for groups without members and offsets, to forget them; Kafka's retention check, 10 minutes. */
  readonly idleGroupSweepMs: number;
};

export const defaultGroupCoordinatorOptions: GroupCoordinatorOptions = {
  ...defaultGroupLimits,
  ...defaultConsumerGroupLimits,
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

export class GroupCoordinator implements Groups {
  readonly #rim: GroupRim;
  readonly #options: GroupCoordinatorOptions;
  readonly #newId: () => string;
  readonly #offsets: CommittedOffsets;
  readonly #patterns: TopicPatterns;
  readonly #groups = new Map<string, LiveGroup>();
  readonly #waiting = new WaitingRequests();
  #sweep: RunningTimer;
  #phase: "open" | "closing" = "open";
  #onAllIdle: (() => void) | undefined;

  private constructor(parts: GroupCoordinatorParts, offsets: CommittedOffsets) {
    const { engine, clock, newId = randomUUID } = parts;
    this.#options = { ...defaultGroupCoordinatorOptions, ...parts.options };
    this.#newId = newId;
    this.#offsets = offsets;
    this.#patterns = new TopicPatterns({ monotonicMs: () => clock.monotonicMs(), pause: () => setImmediate() });
    const topics = new GroupTopics(engine.topics, this.#patterns);
    this.#rim = { ...parts, options: this.#options, offsets, waiting: this.#waiting, topics };
    this.#sweep = this.#startSweep();
  }

  /**
   * Loads all groups; they are stable at once, without a rebalance, and each member has a full session to be heard.
   * @throws StreamError LOG_VERSION when a newer version wrote a group.
   */
  static async open(parts: GroupCoordinatorParts): Promise<GroupCoordinator> {
    const saved = await parts.engine.loadGroups();
    const offsets = await CommittedOffsets.open(parts);
    const coordinator = new GroupCoordinator(parts, offsets);
    try {
      for (const { group, snapshot } of saved) coordinator.#restore(group, snapshot);
    } catch (error) {
      await coordinator.close();
      throw error;
    }
    for (const group of offsets.groups()) if (!coordinator.#groups.has(group)) coordinator.#add(group);
    return coordinator;
  }

  /** A damaged snapshot costs its members a rejoin, not the hub its start: the committed offsets are stored apart. */
  #restore(name: string, snapshot: Uint8Array): void {
    try {
      const { type, group } = decodeSnapshot(snapshot);
      const next =
        type === "classic"
          ? classicNext(restoreGroup(group))
          : consumerNext(restoreConsumerGroup(group, this.#options));
      this.#add(name).restore(next);
    } catch (thrown) {
      const error = toStreamError(thrown);
      if (error.code !== "CORRUPT_RECORD") throw error;
      this.#rim.logger.error({ group: name, error }, "a group's membership is damaged; its members have to join again");
      const nobody = { generation: 0, protocolType: null, protocolName: null, leaderId: null, members: [] };
      this.#add(name).restore(classicNext(restoreGroup(nobody)));
    }
  }

  async join(request: JoinRequest): Promise<JoinResult> {
    const fault = checkJoinRequest(request, this.#options);
    if (fault !== null) return failedJoin(fault, request.memberId);
    const isNew = request.memberId === "";
    const group = isNew ? this.#findOrCreate(request.group) : this.#find(request.group, "UNKNOWN_MEMBER_ID");
    if (typeof group === "string") return failedJoin(group, request.memberId);
    const prefix = (request.instanceId ?? request.clientId).slice(0, MEMBER_ID_PREFIX_LENGTH_MAX);
    const { id, result } = this.#waiting.openJoin(request.memberId);
    group.submit({ type: "join", to: id, request, newMemberId: `${prefix}-${this.#newId()}` });
    return result;
  }

  async sync(request: SyncRequest): Promise<SyncResult> {
    const group = this.#find(request.group, "UNKNOWN_MEMBER_ID");
    if (typeof group === "string") return failedSync(group);
    const { id, result } = this.#waiting.openSync();
    group.submit({ type: "sync", to: id, request });
    return result;
  }

  /** Does not wait for the group's queue: a slow disk must not cost members their sessions. */
  heartbeat(request: HeartbeatRequest): ErrorCode | null {
    const group = this.#find(request.group, "UNKNOWN_MEMBER_ID", Infinity);
    if (typeof group === "string") return group;
    return group.heartbeat(request);
  }

  async consumerHeartbeat(request: ConsumerHeartbeatRequest): Promise<ConsumerHeartbeatResult> {
    const fault = checkConsumerHeartbeat(request, this.#options) ?? this.#checkRegex(request);
    if (fault !== undefined) return failedHeartbeat(fault);
    const known = this.#groups.get(request.group);
    const asked = known?.regexesToMatch(request) ?? (request.subscribedRegex ? [request.subscribedRegex] : []);
    const matching = this.#rim.topics.match(asked);
    const matched = matching instanceof Promise ? await matching : matching;
    const isJoin = request.epoch === JOIN_EPOCH;
    const group = isJoin ? this.#findOrCreate(request.group) : this.#find(request.group, "UNKNOWN_MEMBER_ID");
    if (typeof group === "string") return failedHeartbeat(refusal(group, `group ${request.group}: ${group}`));
    const { id, result } = this.#waiting.openHeartbeat();
    group.consumerHeartbeat({ type: "consumer-heartbeat", to: id, request, newMemberId: this.#newId() }, matched);
    return result;
  }

  #checkRegex({ subscribedRegex }: ConsumerHeartbeatRequest): Refusal | undefined {
    if (subscribedRegex === null || subscribedRegex === "") return undefined;
    const fault = this.#patterns.check(subscribedRegex);
    return fault === undefined ? undefined : refusal("INVALID_REGULAR_EXPRESSION", `${subscribedRegex}: ${fault}`);
  }

  async leave(name: string, members: readonly MemberIdentity[]): Promise<LeaveResult> {
    const group = this.#find(name, "UNKNOWN_MEMBER_ID");
    if (group === "UNKNOWN_MEMBER_ID")
      return { error: null, members: members.map((who) => ({ ...who, error: group })) };
    if (typeof group === "string") return { error: group, members: [] };
    if (group.type === "consumer") return this.#removeStatic(group, members);
    const { id, result } = this.#waiting.openLeave();
    group.submit({ type: "leave", to: id, members });
    return result;
  }

  /** Administrators name a static member by its instance id alone. Members of the newer protocol leave by heartbeat. */
  async #removeStatic(group: LiveGroup, members: readonly MemberIdentity[]): Promise<LeaveResult> {
    const instanceIds = members.map(({ memberId, instanceId }) => (memberId === "" ? (instanceId ?? "") : ""));
    const { id, result } = this.#waiting.openRemoval(members.length);
    group.submit({ type: "consumer-removal", to: id, instanceIds });
    const errors = await result;
    return { error: null, members: members.map((who, index) => ({ ...who, error: errors[index] ?? null })) };
  }

  /** GROUP_ID_NOT_FOUND for a member of an unknown group; before OffsetCommit v9 clients know it as ILLEGAL_GENERATION. */
  async commit(request: CommitRequest): Promise<readonly (ErrorCode | null)[]> {
    const isSimple = isSimpleCommit(request);
    const group = isSimple ? this.#findOrCreate(request.group) : this.#find(request.group, "GROUP_ID_NOT_FOUND");
    if (typeof group === "string") return request.offsets.map(() => group);
    return this.#inTurn(group, "shared", async () => {
      const faults = group.judgeCommit(request);
      const accepted = request.offsets.filter((_, index) => faults[index] === null);
      if (accepted.length === 0) return faults;
      const results = (await this.#offsets.commit(group.name, accepted)).values();
      return faults.map((fault) => fault ?? results.next().value ?? null);
    });
  }

  committed(group: string): ReadonlyMap<string, ReadonlyMap<Partition, CommittedPosition>> {
    return this.#offsets.of(group);
  }

  checkOffsetFetch(name: string, member: { readonly memberId: string | null; readonly memberEpoch: number }) {
    return this.#groups.get(name)?.judgeOffsetFetch(member) ?? null;
  }

  list(): readonly AnyGroupListing[] {
    return [...this.#groups.values()].map((group) => group.list());
  }

  describe(name: string): DescribedGroup {
    return this.#groups.get(name)?.describe() ?? deadGroup(name);
  }

  describeConsumer(name: string): DescribedConsumerGroup | undefined {
    return this.#groups.get(name)?.describeConsumer();
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
      const verdict = group.judgeOffsetDelete();
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
    for (const group of this.#groups.values()) group.stopTimers();
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
    const idle = [...this.#groups.values()].find((group) => group.isForgettable);
    if (idle === undefined) return "GROUP_MAX_SIZE_REACHED";
    // Its deletion reaches the disk in a moment; the client tries again.
    void this.#submitDelete(idle);
    return "COORDINATOR_NOT_AVAILABLE";
  }

  #add(name: string): LiveGroup {
    const group = new LiveGroup(name, this.#rim, {
      idle: (idle) => this.#onIdle(idle),
      dead: () => {
        this.#groups.delete(name);
        this.#offsets.forgetGroup(name);
      },
    });
    this.#groups.set(name, group);
    return group;
  }

  #submitDelete(group: LiveGroup): Promise<ErrorCode | null> {
    const { id, result } = this.#waiting.openDelete();
    group.submit({ type: "delete", to: id });
    return result;
  }

  #inTurn<Result>(group: LiveGroup, access: "exclusive" | "shared", work: () => Promise<Result>): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    group.queue.run(access, () => work().then(resolve, reject));
    return promise;
  }

  #onIdle(group?: LiveGroup): void {
    // Requests that were refused must not leave groups behind.
    if (group?.isTrace === true) {
      group.stopTimers();
      if (this.#groups.get(group.name) === group) this.#groups.delete(group.name);
    }
    if (this.#phase === "closing" && [...this.#groups.values()].every(({ queue }) => queue.isIdle)) this.#onAllIdle?.();
  }

  #startSweep(): RunningTimer {
    return this.#rim.timers.start(this.#options.idleGroupSweepMs, () => {
      this.#sweep = this.#startSweep();
      for (const group of this.#groups.values()) {
        // When the disk refuses, the next sweep tries again.
        if (group.sweep() && group.isForgettable) void this.#submitDelete(group);
      }
    });
  }
}
