/**
 * The way of an MQTT message into the log: route, open batch, commit, and only then its acknowledgement (G1).
 *
 *   publish ─▶ route ─▶ sent before? ─▶ room? ─▶ open commit ─▶ take ─▶ on disk ─▶ dones, in the order of the messages
 *                            │ yes         │ no       ▲           (log)       └─▶ failed: dones with the error, no PUBACK
 *                            ▼             ▼          │ room again
 *                   waits for that      QoS 0 dropped and counted; block: held back; else dropped and counted
 *                   commit, if any
 *
 * Nothing is allocated for a message but its place in the list of those who wait. A message's bytes are copied into the
 * batch at once, because the MQTT parser's memory must not be held on to.
 *
 * Bounds: `IngestLimits`. Publishers are held back by waiting: while `isFull`, the listener reads from nobody, so there
 * is no queue of messages here. What had been read by then is accepted up to twice the limit; beyond, it
 * is dropped and counted at QoS 0 and refused at QoS 1 and 2.
 */
import { crc32c } from "../../shared/batch/crc32c.ts";
import type { Clock } from "../../shared/clock.ts";
import { crashPoint } from "../../shared/crash-point.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import type { Offset, Timestamp } from "../../shared/ids.ts";
import type { LossReason } from "../../shared/uplink/frames.ts";
import type { CommitPart, CommitSource, LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { Logger } from "../../shared/logger.ts";
import type { LogSpace } from "../buffer/log-space.ts";
import type { LossLedger } from "../ledger/loss-ledger.ts";
import type { PublishMessage, PublishSink } from "../mqtt/publish-sink.ts";
import type { Stamper } from "../time/agent-clock.ts";
import { lossReason, placeOf, unmadePlace } from "./drops.ts";
import type { DropPlace } from "./drops.ts";
import { DuplicateWindow } from "./duplicate-window.ts";
import { UNCOMMITTED_SHARE_OF_CAP, defaultIngestLimits } from "./ingest-limits.ts";
import type { IngestLimits, IngestStats } from "./ingest-limits.ts";
import { LogRoom } from "./log-room.ts";
import type { RoomLog } from "./log-room.ts";
import type { Done } from "./open-commit.ts";
import { BuilderPool, OpenCommit } from "./open-commit.ts";
import type { QosTwoPackets } from "./qos-two-packets.ts";
import { RouteTable } from "./route-table.ts";
import type { RoutedTopic } from "./route-table.ts";
import type { Route } from "./route.ts";
import { policyOf } from "./route.ts";
import type { DirectoryLog, TopicLanes } from "./topic-lanes.ts";
import { TopicDirectory } from "./topic-lanes.ts";
import { Uncommitted } from "./uncommitted.ts";
import { WaitingMessages } from "./waiting-messages.ts";

/** How often a log without room is looked at, besides after every commit: sweeps make room without one. */
const ROOM_CHECK_MS = 100;

/** What it needs of the log. */
export type IngestLog = Pick<PartitionedLog, "addSource" | "onCommit" | "onFatal"> & RoomLog & DirectoryLog;

export type IngestOptions = {
  readonly log: IngestLog;
  readonly routes: readonly Route[];
  readonly qosTwo: QosTwoPackets;
  /** Without it, what is stored is remembered until the process ends. */
  readonly duplicates?: DuplicateWindow;
  readonly ledger: LossLedger;
  readonly clock: Clock;
  /** The timestamp of a record that comes now; provisional while nobody knows the time. The wall clock by default. */
  readonly stamp?: () => Timestamp;
  /** To be stored together with what was stamped, or the stamps may come to mean something else. */
  readonly stampCalls?: () => CommitPart["calls"];
  readonly logger: Logger;
  /** What the log may hold, and holds. */
  readonly space: LogSpace;
  readonly limits?: Partial<IngestLimits>;
  /** What the hub has, for topics that exist there. */
  readonly partitionCountOf?: (topic: string) => number | undefined;
  /** The first record that the hub has not confirmed; without it, everything in the log counts as pending. */
  readonly pendingFrom?: (partition: LogPartition) => Offset;
};

export class Ingest implements PublishSink, CommitSource, Stamper {
  readonly #stamp: () => Timestamp;
  readonly #stampCalls: () => CommitPart["calls"];
  readonly #logger: Logger;
  readonly #qosTwo: QosTwoPackets;
  readonly #ledger: LossLedger;
  readonly #limits: IngestLimits;
  readonly #topics: TopicDirectory;
  readonly #table: RouteTable<TopicLanes>;
  readonly #room: LogRoom;
  readonly #duplicates: DuplicateWindow;
  readonly #builders = new BuilderPool();
  readonly #request: () => void;
  readonly #removeCommitListener: () => void;

  #nextCommitNumber: number;
  /** Commits that gather or are on their way, by each of their numbers. */
  readonly #unsettled = new Map<number, OpenCommit>();
  #open: OpenCommit;
  readonly #heldTopics = new Set<TopicLanes>();
  readonly #waiting: WaitingMessages;
  readonly #uncommitted: Uncommitted;
  readonly #roomListeners: (() => void)[] = [];
  #isRequested = false;
  #roomTimer: NodeJS.Timeout | undefined;
  /** Why no message is taken any more. */
  #stopped: StreamError | undefined;

  #receivedMessages = 0;
  #committedRecords = 0;
  #committedBytes = 0;
  #duplicateMessages = 0;
  #refusedMessages = 0;

  constructor(options: IngestOptions) {
    const { log, routes, clock, logger, space } = options;
    this.#stamp = options.stamp ?? (() => clock.wallMs());
    this.#stampCalls = options.stampCalls ?? (() => []);
    this.#logger = logger;
    this.#qosTwo = options.qosTwo;
    this.#duplicates = options.duplicates ?? new DuplicateWindow();
    this.#nextCommitNumber = this.#duplicates.firstCommit;
    this.#ledger = options.ledger;
    const limits = { ...defaultIngestLimits, ...options.limits };
    // A commit has one message at least.
    const recordBytesMax = Math.min(limits.recordBytesMax, Math.floor(space.capBytesMax * UNCOMMITTED_SHARE_OF_CAP));
    this.#limits = { ...limits, recordBytesMax };
    this.#uncommitted = new Uncommitted(this.#limits, space);
    this.#waiting = new WaitingMessages(this.#limits);
    this.#topics = new TopicDirectory({
      log,
      routes,
      partitionCountOf: options.partitionCountOf ?? (() => undefined),
      onMade: (topic, error) => this.#topicMade(topic, error),
    });
    this.#table = new RouteTable(routes, (destination) => this.#topics.lanesOf(destination));
    this.#room = new LogRoom({
      log,
      clock,
      space,
      ledger: this.#ledger,
      policyOf: (topic) => policyOf(routes, topic),
      pendingFrom: options.pendingFrom ?? (() => 0),
      onTrimFailed: (error) => logger.warn({ err: error, code: error.code }, "the log could not be trimmed"),
    });
    this.#open = this.#newCommit();
    const source = log.addSource(this);
    this.#request = () => source.request();
    this.#removeCommitListener = log.onCommit((changed) => {
      this.#topics.refresh(changed);
      if (this.#isWithoutRoom) this.#requestCommit();
    });
    log.onFatal((error) => this.stop(toStreamError(error)));
  }

  publish(message: PublishMessage, done: Done): void {
    this.#receivedMessages++;
    if (this.#stopped !== undefined) return this.#refuse(done, this.#stopped);
    const routed = this.#table.lookup(message.topic);
    const topic = routed.target;
    if (topic.lanes.length === 0) return this.#waitForTopic(topic, message, done);
    const digest = message.qos === 1 ? digestOf(routed, message) : 0;
    if (message.messageId !== undefined && this.#isStoredBefore(message, digest, done)) return;
    if (this.#isOversized(message, routed)) {
      const limit = this.#limits.recordBytesMax;
      return this.#refuse(done, new StreamError("MESSAGE_TOO_LARGE", `the record is larger than ${limit} bytes`));
    }
    const commit = this.#commitFor(routed, message, done);
    if (commit !== undefined) this.#gather(commit, routed, { message, done, digest });
  }

  beginSession(clientId: string): void {
    this.#duplicates.beginSession(clientId);
  }

  /** The log is free: what has gathered becomes its next commit. */
  take(): CommitPart | undefined {
    this.#isRequested = false;
    if (this.#open.isEmpty && this.#heldTopics.size === 0 && !this.#isWithoutRoom) return undefined;
    // The room may only get smaller here, where the open commit leaves at the same moment: so a topic's records are
    // never in the open commit and held back at once, and stay in order.
    this.#uncommitted.followCap();
    this.#room.consider({ bytes: this.#uncommitted.bytes, priority: this.#open.priority });
    this.#releaseHeld();
    if (this.#isWithoutRoom) this.#checkRoomSoon();
    const taken = this.#open;
    if (taken.isEmpty) return undefined;
    this.#open = this.#newCommit();
    const appends = taken.close();
    const packets = taken.packets.length === 0 ? [] : [this.#qosTwo.insertCall(taken.packets)];
    const dropped = taken.drops.isEmpty ? undefined : this.#ledger.planDrops(taken.drops.list());
    return {
      appends,
      calls: [...this.#stampCalls(), ...packets, ...this.#duplicates.take(taken.numbers), ...(dropped?.calls ?? [])],
      // The hub is told of a drop next, and would count what a power cut has made the agent forget.
      durability: dropped === undefined ? taken.durability : "fsync",
      done: () => {
        dropped?.apply();
        this.#settle(taken);
      },
      failed: (error) => {
        dropped?.cancel();
        this.#fail(taken, error);
      },
    };
  }

  /** No message is taken from now on, those that wait are refused. What has gathered goes with the log's next commit. */
  stop(reason = new StreamError("CLOSING", "the agent is stopping")): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = reason;
    this.#removeCommitListener();
    clearTimeout(this.#roomTimer);
    for (const topic of this.#waiting.topics) this.#refuseWaiting(topic, reason);
    for (const topic of this.#heldTopics) this.#refuseHeld(topic, reason);
  }

  stats(): IngestStats {
    return {
      receivedMessages: this.#receivedMessages,
      committedRecords: this.#committedRecords,
      committedBytes: this.#committedBytes,
      duplicateMessages: this.#duplicateMessages,
      refusedMessages: this.#refusedMessages,
      uncommittedBytes: this.#uncommitted.bytes,
      uncommittedMessages: this.#uncommitted.messages,
      waitingBytes: this.#waiting.bytes,
      waitingMessages: this.#waiting.count,
      isWithoutRoom: this.#isWithoutRoom,
      routedTopics: this.#table.size,
    };
  }

  /** Of the last commit that has begun to gather. */
  mark(): number {
    return this.#nextCommitNumber - 1;
  }

  /** Whether all commits up to `mark` have ended, what is held back included. */
  isPast(mark: number): boolean {
    for (const [number, commit] of this.#unsettled) if (number <= mark && !commit.isEmpty) return false;
    return true;
  }

  get isFull(): boolean {
    return this.#uncommitted.isFull;
  }

  onRoom(listener: () => void): void {
    this.#roomListeners.push(listener);
  }

  get #isWithoutRoom(): boolean {
    return this.#room.admittedPriorityMin !== -Infinity;
  }

  readonly #isUnanswered = (commit: number): boolean => this.#unsettled.has(commit);

  /** Whether the message is a repetition; then `done` hears of the commit of the first one. */
  #isStoredBefore(message: PublishMessage, digest: number, done: Done): boolean {
    const { clientId, qos, dup } = message;
    const messageId = message.messageId as number;
    if (qos === 2) {
      if (this.#qosTwo.has(clientId, messageId)) done();
      else if (this.#qosTwo.isPending(clientId, messageId)) this.#qosTwo.wait(clientId, messageId, done);
      else return false;
    } else {
      const number = qos === 1 && dup ? this.#duplicates.find(message, digest, this.#isUnanswered) : undefined;
      if (number === undefined) return false;
      const commit = this.#unsettled.get(number);
      if (commit === undefined) done();
      else commit.dones.push(done);
    }
    this.#duplicateMessages++;
    return true;
  }

  #isOversized(message: PublishMessage, routed: RoutedTopic<TopicLanes>): boolean {
    const { qos, retain, payload } = message;
    const bytes = payload.length + (routed.keyBytes?.length ?? 0) + routed.headers(qos, retain).bytes.length;
    return bytes > this.#limits.recordBytesMax;
  }

  /** Where the message gathers; undefined when it was turned away, and answered. */
  #commitFor(routed: RoutedTopic<TopicLanes>, message: PublishMessage, done: Done): OpenCommit | undefined {
    const topic = routed.target;
    if (topic.held !== undefined || topic.policy.priority < this.#room.admittedPriorityMin) {
      return this.#withoutRoom(routed, message, done);
    }
    if (this.#uncommitted.isOverfull) {
      this.#turnAway(placeOf(routed), message, done);
      return undefined;
    }
    return this.#open;
  }

  #withoutRoom(routed: RoutedTopic<TopicLanes>, message: PublishMessage, done: Done): OpenCommit | undefined {
    const topic = routed.target;
    if (topic.policy.overflow !== "block") {
      this.#drop(routed, message, done);
      return undefined;
    }
    if (this.#waiting.isFull(message.payload.length)) {
      this.#turnAway(placeOf(routed), message, done);
      return undefined;
    }
    topic.held ??= this.#newCommit();
    this.#heldTopics.add(topic);
    return topic.held;
  }

  /**
   * Taken and dropped: a publisher that got no answer would only send it again. The answer is a promise all the same,
   * that the loss is told; so it waits for the commit that has it in the ledger.
   */
  #drop(routed: RoutedTopic<TopicLanes>, message: PublishMessage, done: Done): void {
    const commit = this.#open;
    commit.drops.add(placeOf(routed), "overflow", { unanswered: message.qos === 0 ? 1 : 0 });
    if (!this.#isRequested) this.#requestCommit();
    if (message.qos === 0) return done();
    if (routed.destination.route.durability === "fsync") commit.durability = "fsync";
    commit.dones.push(done);
    // Sent again, it is neither dropped and counted twice nor stored after all.
    this.#remember(commit, message, message.qos === 1 ? digestOf(routed, message) : 0);
  }

  /** Over a limit of this process, whatever the log has room for. */
  #turnAway(place: DropPlace, message: PublishMessage, done: Done): void {
    if (message.qos !== 0)
      return this.#refuse(done, new StreamError("OVERLOADED", "too many messages wait for the disk"));
    this.#lose(place, "overload", 1);
    done();
  }

  /** Nobody waits for an answer. */
  #lose(place: DropPlace, reason: LossReason, records: number): void {
    this.#open.drops.add(place, reason, { records, unanswered: records });
    if (!this.#isRequested) this.#requestCommit();
  }

  #gather(
    commit: OpenCommit,
    routed: RoutedTopic<TopicLanes>,
    { message, done, digest }: { message: PublishMessage; done: Done; digest: number },
  ): void {
    const topic = routed.target;
    const lane = topic.lane(routed.keyHash);
    const bytes = commit.add(lane, routed, message, this.#stamp());
    if (routed.destination.route.durability === "fsync") commit.durability = "fsync";
    if (commit === this.#open) {
      this.#uncommitted.add(bytes, 1);
      if (!this.#isRequested) this.#requestCommit();
    } else {
      this.#waiting.account(bytes, 1);
    }
    if (message.qos === 0) {
      commit.addUnanswered(lane.partition);
      return done();
    }
    commit.dones.push(done);
    this.#remember(commit, message, digest);
  }

  /** What its client sends again, of QoS 1 or 2, is known for this message from now on. */
  #remember(commit: OpenCommit, message: PublishMessage, digest: number): void {
    const { qos, clientId, messageId } = message;
    if (messageId === undefined) return;
    if (qos === 1) return this.#duplicates.add(message, digest, commit.numbers[0] as number);
    this.#duplicates.pass(message);
    const key = [clientId, messageId] as const;
    commit.packets.push(key);
    this.#qosTwo.begin(key);
  }

  #settle(commit: OpenCommit): void {
    this.#uncommitted.remove(commit.bytes, commit.recordCount);
    this.#committedBytes += commit.bytes;
    this.#committedRecords += commit.recordCount;
    this.#room.sawStored();
    this.#finish(commit, undefined);
    this.#tellRoom();
  }

  /**
   * What gathered behind a failed commit fails with it: its publishers send again what failed, which must not come after
   * their later messages (G2).
   *
   * Whoever hears of it may publish at once, from within the call. So all that fails is closed before anyone hears,
   * or a new message would join a batch that is thrown away; and everyone is answered before the gates are opened, or
   * a later message of a publisher would be stored before it hears that the earlier one was not.
   */
  #fail(commit: OpenCommit, error: Error): void {
    const behind = this.#open;
    behind.close();
    this.#open = this.#newCommit();
    for (const failed of [commit, behind]) this.#uncommitted.remove(failed.bytes, failed.recordCount);
    this.#finish(commit, error);
    this.#finish(behind, error);
    for (const topic of this.#heldTopics) if (commit.has(topic)) this.#refuseHeld(topic, error);
    this.#tellRoom();
  }

  #tellRoom(): void {
    for (const hear of this.#roomListeners) hear();
  }

  #refuseHeld(topic: TopicLanes, error: Error): void {
    const { held } = topic;
    topic.held = undefined;
    this.#heldTopics.delete(topic);
    if (held === undefined) return;
    held.close();
    this.#waiting.account(-held.bytes, -held.recordCount);
    this.#finish(held, error);
  }

  /** Memory moves first, then the publishers hear. */
  #finish(commit: OpenCommit, error: Error | undefined): void {
    for (const number of commit.numbers) this.#unsettled.delete(number);
    this.#duplicates.settle(commit.numbers, error === undefined);
    const repeaters = this.#qosTwo.settle(commit.packets, error);
    if (error === undefined) {
      crashPoint("agent-before-puback");
    } else {
      this.#refusedMessages += commit.dones.length;
      if (error instanceof StreamError && error.code === "LOG_FULL") this.#room.sawFull();
      for (const [partition, count] of commit.unanswered) this.#lose(partition, lossReason(error), count);
      if (!commit.drops.isEmpty) this.#open.drops.absorbUnanswered(commit.drops);
    }
    for (const done of commit.dones) done(error);
    for (const done of repeaters) done(error);
  }

  /** Held topics that may be stored now join the open commit. */
  #releaseHeld(): void {
    for (const topic of this.#heldTopics) {
      if (topic.policy.priority < this.#room.admittedPriorityMin || topic.held === undefined) continue;
      const held = topic.held;
      topic.held = undefined;
      this.#heldTopics.delete(topic);
      this.#open.absorb(held);
      for (const number of held.numbers) this.#unsettled.set(number, this.#open);
      this.#waiting.account(-held.bytes, -held.recordCount);
      this.#uncommitted.add(held.bytes, held.recordCount);
    }
  }

  #waitForTopic(topic: TopicLanes, message: PublishMessage, done: Done): void {
    if (this.#waiting.isFull(message.payload.length)) return this.#turnAway(unmadePlace(topic), message, done);
    this.#waiting.add(topic, message, done);
    this.#topics.make(topic);
  }

  #topicMade(topic: TopicLanes, error: StreamError | undefined): void {
    if (error !== undefined) {
      this.#logger.error({ err: error, code: error.code, topic: topic.name }, "the topic could not be created");
      return this.#refuseWaiting(topic, error);
    }
    for (const { message, done } of this.#waiting.take(topic)) {
      this.#receivedMessages--;
      this.publish(message, done);
    }
  }

  #refuseWaiting(topic: TopicLanes, error: StreamError): void {
    for (const { message, done } of this.#waiting.take(topic)) {
      if (message.qos === 0) this.#lose(unmadePlace(topic), lossReason(error), 1);
      else this.#refuse(done, error);
    }
  }

  #refuse(done: Done, error: StreamError): void {
    this.#refusedMessages++;
    done(error);
  }

  #newCommit(): OpenCommit {
    const commit = new OpenCommit(this.#nextCommitNumber++, this.#builders);
    this.#unsettled.set(commit.numbers[0] as number, commit);
    return commit;
  }

  #requestCommit(): void {
    this.#isRequested = true;
    this.#request();
  }

  #checkRoomSoon(): void {
    clearTimeout(this.#roomTimer);
    if (this.#stopped !== undefined) return;
    this.#roomTimer = setTimeout(() => this.#requestCommit(), ROOM_CHECK_MS).unref();
  }
}

/** Of topic and payload. */
function digestOf(routed: RoutedTopic<TopicLanes>, message: PublishMessage): number {
  return (crc32c(message.payload) ^ routed.topicDigest) >>> 0;
}
