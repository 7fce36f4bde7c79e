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
 * Bounds: `IngestLimits`. Publishers are held back by waiting: the listener reads no more from a client whose messages
 * are not answered, so QoS 1 and 2 need no queue of their own here. What goes over the limits all the same (many clients
 * at once) is dropped and counted at QoS 0, accepted up to twice the limit at QoS 1 and 2, and refused beyond.
 */
import { crc32c } from "../../shared/batch/crc32c.ts";
import type { Clock } from "../../shared/clock.ts";
import { crashPoint } from "../../shared/crash-point.ts";
import { StreamError, toStreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import type { CommitPart, CommitSource, LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { Logger } from "../../shared/logger.ts";
import type { PublishMessage, PublishSink } from "../mqtt/publish-sink.ts";
import { DuplicateWindow } from "./duplicate-window.ts";
import { defaultIngestLimits } from "./ingest-limits.ts";
import type { IngestLimits, IngestStats } from "./ingest-limits.ts";
import { LogRoom } from "./log-room.ts";
import { LossCounts } from "./loss-counts.ts";
import type { Done } from "./open-commit.ts";
import { BuilderPool, OpenCommit } from "./open-commit.ts";
import type { QosTwoPackets } from "./qos-two-packets.ts";
import { RouteTable } from "./route-table.ts";
import type { RoutedTopic } from "./route-table.ts";
import type { Route } from "./route.ts";
import { policyOf } from "./route.ts";
import type { TopicLanes } from "./topic-lanes.ts";
import { TopicDirectory } from "./topic-lanes.ts";
import { WaitingMessages } from "./waiting-messages.ts";

/** QoS 1 and 2 get this multiple of the limits before they are refused: their publishers are being held back already. */
const ACKNOWLEDGED_LIMIT_FACTOR = 2;
/** What is on its way counts against the log's cap; a small log must not be filled by it alone. */
const UNCOMMITTED_SHARE_OF_CAP = 1 / 8;
/** How often a log without room is looked at, besides after every commit: sweeps make room without one. */
const ROOM_CHECK_MS = 100;

export type IngestOptions = {
  readonly log: PartitionedLog;
  readonly routes: readonly Route[];
  readonly qosTwo: QosTwoPackets;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What the log may hold. */
  readonly capBytes: number;
  readonly limits?: Partial<IngestLimits>;
  /** What the hub has, for topics that exist there. */
  readonly partitionCountOf?: (topic: string) => number | undefined;
  /** The first record that the hub has not confirmed; without it, everything in the log counts as pending. */
  readonly pendingFrom?: (partition: LogPartition) => Offset;
};

export class Ingest implements PublishSink, CommitSource {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #qosTwo: QosTwoPackets;
  readonly #limits: IngestLimits;
  readonly #topics: TopicDirectory;
  readonly #table: RouteTable<TopicLanes>;
  readonly #room: LogRoom;
  readonly #duplicates = new DuplicateWindow();
  readonly #losses = new LossCounts();
  readonly #builders = new BuilderPool();
  readonly #request: () => void;
  readonly #removeCommitListener: () => void;

  #nextCommitNumber = 1;
  /** Commits that gather or are on their way, by each of their numbers. */
  readonly #unsettled = new Map<number, OpenCommit>();
  #open: OpenCommit;
  readonly #heldTopics = new Set<TopicLanes>();
  readonly #waiting: WaitingMessages;
  #isRequested = false;
  #roomTimer: NodeJS.Timeout | undefined;
  /** Why no message is taken any more. */
  #stopped: StreamError | undefined;

  #uncommittedBytes = 0;
  #uncommittedMessages = 0;
  #receivedMessages = 0;
  #committedRecords = 0;
  #committedBytes = 0;
  #duplicateMessages = 0;
  #refusedMessages = 0;

  constructor(options: IngestOptions) {
    const { log, routes, clock, logger, capBytes } = options;
    this.#clock = clock;
    this.#logger = logger;
    this.#qosTwo = options.qosTwo;
    const limits = { ...defaultIngestLimits, ...options.limits };
    const uncommittedBytesMax = Math.min(limits.uncommittedBytesMax, capBytes * UNCOMMITTED_SHARE_OF_CAP);
    this.#limits = { ...limits, uncommittedBytesMax };
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
      capBytes,
      losses: this.#losses,
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
    const digest = message.qos === 1 ? (crc32c(message.payload) ^ routed.topicDigest) >>> 0 : 0;
    if (message.messageId !== undefined && this.#isStoredBefore(message, digest, done)) return;
    if (this.#isOversized(message, routed)) {
      const limit = this.#limits.recordBytesMax;
      return this.#refuse(done, new StreamError("MESSAGE_TOO_LARGE", `the record is larger than ${limit} bytes`));
    }
    const commit = this.#commitFor(topic, message, done);
    if (commit !== undefined) this.#gather(commit, routed, { message, done, digest });
  }

  /** The log is free: what has gathered becomes its next commit. */
  take(): CommitPart | undefined {
    this.#isRequested = false;
    if (this.#open.isEmpty && this.#heldTopics.size === 0 && !this.#isWithoutRoom) return undefined;
    // The room may only get smaller here, where the open commit leaves at the same moment: so a topic's records are
    // never in the open commit and held back at once, and stay in order.
    this.#room.consider({ bytes: this.#uncommittedBytes, priority: this.#open.priority });
    this.#releaseHeld();
    if (this.#isWithoutRoom) this.#checkRoomSoon();
    const taken = this.#open;
    if (taken.isEmpty) return undefined;
    this.#open = this.#newCommit();
    return {
      appends: taken.close(),
      calls: taken.packets.length === 0 ? [] : [this.#qosTwo.insertCall(taken.packets)],
      durability: taken.durability,
      done: () => this.#settle(taken, undefined),
      failed: (error) => this.#settle(taken, error),
    };
  }

  /** No message is taken from now on, those that wait are refused. What has gathered goes with the log's next commit. */
  stop(reason = new StreamError("CLOSING", "the agent is stopping")): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = reason;
    this.#removeCommitListener();
    clearTimeout(this.#roomTimer);
    for (const topic of this.#waiting.topics) this.#refuseWaiting(topic, reason);
    for (const topic of this.#heldTopics) {
      const held = topic.held;
      topic.held = undefined;
      if (held === undefined) continue;
      held.close();
      this.#waiting.account(-held.bytes, -held.recordCount);
      this.#finish(held, reason);
    }
    this.#heldTopics.clear();
  }

  stats(): IngestStats {
    return {
      receivedMessages: this.#receivedMessages,
      committedRecords: this.#committedRecords,
      committedBytes: this.#committedBytes,
      duplicateMessages: this.#duplicateMessages,
      refusedMessages: this.#refusedMessages,
      uncommittedBytes: this.#uncommittedBytes,
      uncommittedMessages: this.#uncommittedMessages,
      waitingBytes: this.#waiting.bytes,
      waitingMessages: this.#waiting.count,
      isWithoutRoom: this.#isWithoutRoom,
      routedTopics: this.#table.size,
      losses: this.#losses.list(),
    };
  }

  get #isWithoutRoom(): boolean {
    return this.#room.admittedPriorityMin !== -Infinity;
  }

  /** Whether the message is a repetition; then `done` hears of the commit of the first one. */
  #isStoredBefore(message: PublishMessage, digest: number, done: Done): boolean {
    const { clientId, qos, dup } = message;
    const messageId = message.messageId as number;
    if (qos === 2) {
      if (this.#qosTwo.has(clientId, messageId)) done();
      else if (this.#qosTwo.isPending(clientId, messageId)) this.#qosTwo.wait(clientId, messageId, done);
      else return false;
    } else {
      const number = qos === 1 && dup ? this.#duplicates.find(clientId, messageId, digest) : undefined;
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
  #commitFor(topic: TopicLanes, message: PublishMessage, done: Done): OpenCommit | undefined {
    if (topic.held !== undefined || topic.policy.priority < this.#room.admittedPriorityMin) {
      return this.#withoutRoom(topic, message, done);
    }
    const { uncommittedBytesMax, uncommittedMessagesMax } = this.#limits;
    const factor = message.qos === 0 ? 1 : ACKNOWLEDGED_LIMIT_FACTOR;
    if (
      this.#uncommittedBytes >= uncommittedBytesMax * factor ||
      this.#uncommittedMessages >= uncommittedMessagesMax * factor
    ) {
      this.#turnAway(topic, message, done);
      return undefined;
    }
    return this.#open;
  }

  #withoutRoom(topic: TopicLanes, message: PublishMessage, done: Done): OpenCommit | undefined {
    if (topic.policy.overflow !== "block") {
      // Taken and dropped: a publisher that got no answer would only send it again.
      this.#losses.add(topic.name, "overflow", 1);
      done();
      return undefined;
    }
    if (this.#waiting.isFull(message.payload.length)) {
      this.#turnAway(topic, message, done);
      return undefined;
    }
    topic.held ??= this.#newCommit();
    this.#heldTopics.add(topic);
    return topic.held;
  }

  /** Over a limit of this process, whatever the log has room for. */
  #turnAway(topic: TopicLanes, message: PublishMessage, done: Done): void {
    if (message.qos !== 0)
      return this.#refuse(done, new StreamError("OVERLOADED", "too many messages wait for the disk"));
    this.#losses.add(topic.name, "overload", 1);
    done();
  }

  #gather(
    commit: OpenCommit,
    routed: RoutedTopic<TopicLanes>,
    { message, done, digest }: { message: PublishMessage; done: Done; digest: number },
  ): void {
    const topic = routed.target;
    const bytes = commit.add(topic.lane(routed.keyHash), routed, message, this.#clock.wallMs());
    if (routed.destination.route.durability === "fsync") commit.durability = "fsync";
    if (commit === this.#open) {
      this.#uncommittedBytes += bytes;
      this.#uncommittedMessages++;
      if (!this.#isRequested) this.#requestCommit();
    } else {
      this.#waiting.account(bytes, 1);
    }
    const { qos, clientId, messageId } = message;
    if (qos === 0) {
      commit.addUnanswered(topic.name);
      return done();
    }
    commit.dones.push(done);
    if (messageId === undefined) return;
    if (qos === 1) return this.#duplicates.add(clientId, messageId, digest, commit.numbers[0] as number);
    const key = [clientId, messageId] as const;
    commit.packets.push(key);
    this.#qosTwo.begin(key);
  }

  #settle(commit: OpenCommit, error: Error | undefined): void {
    this.#uncommittedBytes -= commit.bytes;
    this.#uncommittedMessages -= commit.recordCount;
    if (error === undefined) {
      this.#committedBytes += commit.bytes;
      this.#committedRecords += commit.recordCount;
    }
    this.#finish(commit, error);
  }

  /** Memory moves first, then the publishers hear. */
  #finish(commit: OpenCommit, error: Error | undefined): void {
    for (const number of commit.numbers) {
      this.#unsettled.delete(number);
      if (error !== undefined) this.#duplicates.forgetCommit(number);
    }
    const repeaters = this.#qosTwo.settle(commit.packets, error);
    if (error === undefined) {
      crashPoint("agent-before-puback");
    } else {
      this.#refusedMessages += commit.dones.length;
      for (const [topic, count] of commit.unanswered) this.#losses.add(topic, lossReason(error), count);
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
      this.#uncommittedBytes += held.bytes;
      this.#uncommittedMessages += held.recordCount;
    }
  }

  #waitForTopic(topic: TopicLanes, message: PublishMessage, done: Done): void {
    if (this.#waiting.isFull(message.payload.length)) return this.#turnAway(topic, message, done);
    this.#waiting.add(topic, message, message.qos === 0 ? ignoreAnswer : done);
    if (message.qos === 0) done();
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
      if (message.qos === 0) this.#losses.add(topic.name, lossReason(error), 1);
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

/** QoS 0 was answered when it began to wait. */
function ignoreAnswer(): void {}

/** Why records of a commit that failed are lost, where their publishers do not wait for an answer. */
function lossReason(error: Error): "overflow" | "overload" {
  return error instanceof StreamError && error.code === "LOG_FULL" ? "overflow" : "overload";
}
