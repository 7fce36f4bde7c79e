/**
 * aedes' persistence (aedes-persistence 11, asynchronous form) on the agent's log.
 *
 *   retained messages        retained-store.ts     few and bounded: all in memory, written through
 *   sessions, subscriptions  session-store.ts      the same
 *   outgoing queues          outgoing-queues.ts    in the database only
 *   wills                    will-store.ts         in the database only
 *   incoming QoS 2           incoming-window.ts
 *
 * Where the database refuses what is only for local subscribers (the disk is full), the message goes on without: the
 * publisher's own copy is safe in the log, and cutting the publisher off would help nobody. Counted and logged.
 */
import { Readable } from "node:stream";
import MemoryPersistence from "aedes-persistence/asyncPersistence.js";
import type { StoredSubscription } from "aedes-persistence/asyncPersistence.js";
import { toStreamError } from "../../shared/errors.ts";
import { invariant } from "../../shared/invariant.ts";
import type { Logger } from "../../shared/logger.ts";
import type { IncomingWindow } from "./incoming-window.ts";
import type { LimitLog } from "./limit-log.ts";
import type { MqttLimits } from "./limits.ts";
import { OutgoingQueues } from "./outgoing-queues.ts";
import { RetainedStore } from "./retained-store.ts";
import type { RetainedMessage } from "./retained-store.ts";
import { SessionDatabase } from "./session-database.ts";
import type { SessionLog } from "./session-database.ts";
import type { Receiver, SessionBroker, SessionClient, SessionPacket, WillPacket } from "./session-packets.ts";
import { SessionStore } from "./session-store.ts";
import type { MatchingSubscription } from "./session-store.ts";
import type { LoadedSessions } from "./session-tables.ts";
import { WillStore } from "./will-store.ts";

export type PersistenceOptions = {
  readonly log: SessionLog;
  readonly window: IncomingWindow;
  readonly limits: MqttLimits;
  readonly limitLog: LimitLog;
  readonly logger: Logger;
};

const NOTHING: Promise<undefined> = Promise.resolve(undefined);

export class SessionPersistence {
  readonly #database: SessionDatabase;
  readonly #window: IncomingWindow;
  readonly #logger: Logger;
  readonly #mirror = new MemoryPersistence();
  readonly #retained: RetainedStore;
  readonly #sessions: SessionStore;
  readonly #queues: OutgoingQueues;
  readonly #wills: WillStore;
  #broker: SessionBroker | undefined;
  #failures = 0;

  constructor({ log, window, limits, limitLog, logger }: PersistenceOptions) {
    const database = new SessionDatabase(log);
    this.#database = database;
    this.#window = window;
    this.#logger = logger;
    this.#retained = new RetainedStore({ database, mirror: this.#mirror, limits, limitLog });
    this.#sessions = new SessionStore({ database, mirror: this.#mirror, window, limits, limitLog });
    const writeFailed = (message: string, error: unknown): void => this.#failed(message, error);
    this.#queues = new OutgoingQueues({ database, sessions: this.#sessions, limits, limitLog, writeFailed });
    this.#wills = new WillStore(database, () => this.broker.id);
  }

  get broker(): SessionBroker {
    invariant(this.#broker !== undefined, "the persistence is set up");
    return this.#broker;
  }

  stats() {
    return {
      sessions: this.#sessions.count,
      retained: this.#retained.stats(),
      outgoingDropped: this.#queues.dropped,
      writeFailures: this.#failures,
    };
  }

  async setup(broker: SessionBroker): Promise<void> {
    this.#broker = broker;
    const loaded = (await this.#database.query("load", undefined)) as LoadedSessions;
    await this.#retained.load(loaded.retained);
    await this.#sessions.load(loaded);
    this.#wills.load(loaded.willClientIds);
  }

  /** Resolves when all that was asked for is done. */
  idle(): Promise<void> {
    return this.#database.idle();
  }

  destroy(): Promise<void> {
    return this.idle();
  }

  // Retained messages

  async storeRetained(packet: RetainedMessage): Promise<void> {
    try {
      await this.#retained.store(packet);
    } catch (error) {
      this.#failed("retained message not stored", error);
    }
  }

  createRetainedStream(pattern: string): Readable {
    return this.createRetainedStreamCombi([pattern]);
  }

  createRetainedStreamCombi(patterns: readonly string[]): Readable {
    return this.#mirror.createRetainedStreamCombi(patterns);
  }

  // Sessions and their subscriptions

  /** Tells that one of the subscriptions aedes will hand to `addSubscriptions` was refused. */
  refuse(subscription: object): void {
    this.#sessions.refuse(subscription);
  }

  addSubscriptions(client: SessionClient, subscriptions: readonly StoredSubscription[]): Promise<void> {
    return this.#sessions.add(client, subscriptions);
  }

  removeSubscriptions(client: SessionClient, topics: readonly string[]): Promise<void> {
    return this.#sessions.remove(client, topics);
  }

  /** aedes calls this when a client comes with a clean session [MQTT-3.1.2-6]. */
  cleanSubscriptions(client: { readonly id: string }): Promise<void> {
    return this.#sessions.has(client.id) ? this.#sessions.end(client.id) : NOTHING;
  }

  subscriptionsByClient(client: SessionClient): Promise<StoredSubscription[]> {
    return this.#mirror.subscriptionsByClient(client);
  }

  subscriptionsByTopic(topic: string): Promise<readonly MatchingSubscription[]> {
    return this.#sessions.byTopic(topic);
  }

  /** Whether a message may be for a session; if not, nothing of it needs to come here. */
  isQueued(topic: string): boolean {
    return this.#sessions.mayMatch(topic);
  }

  countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    return this.#mirror.countOffline();
  }

  getClientList(topic: string): Readable {
    return this.#mirror.getClientList(topic);
  }

  /** Adds `elapsedMs` to the time offline of sessions without a connection; ends those that were away too long. */
  age(elapsedMs: number): Promise<void> {
    const { clients = {} } = this.broker;
    return this.#sessions.age(elapsedMs, (clientId) => clients[clientId] !== undefined);
  }

  // Outgoing queues

  outgoingEnqueue(receiver: Receiver, packet: SessionPacket): Promise<void> {
    return this.outgoingEnqueueCombi([receiver], packet);
  }

  outgoingEnqueueCombi(receivers: readonly Receiver[], packet: SessionPacket): Promise<void> {
    return receivers.length === 0 ? NOTHING : this.#queues.enqueue(receivers, packet);
  }

  outgoingUpdate(client: SessionClient, packet: SessionPacket): Promise<void> {
    return this.#queues.sending(client, packet);
  }

  outgoingClearMessageId(
    client: SessionClient,
    packet: { readonly messageId?: number | undefined },
  ): Promise<SessionPacket | undefined> {
    return this.#queues.acknowledged(client, packet);
  }

  outgoingStream(client: SessionClient): Readable {
    const isEmpty = client.clean === true || !this.#sessions.has(client.id);
    return Readable.from(isEmpty ? [] : this.#queues.messages(client.id));
  }

  // Incoming QoS 2

  /** aedes asks at PUBLISH (a rejection means: new, publish it) and at PUBREL (it means: nothing to delete). */
  async incomingGetPacket(client: SessionClient, packet: SessionPacket): Promise<SessionPacket> {
    const { messageId } = packet;
    invariant(messageId !== undefined, "a QoS 2 packet has an identifier");
    const isNew =
      packet.cmd === "publish" ? this.#window.claim(client.id, messageId) : !this.#window.has(client.id, messageId);
    if (isNew) throw new Error("no such packet");
    return packet;
  }

  /** Record and identifier were stored before aedes heard of the packet. */
  async incomingStorePacket(client: SessionClient, packet: SessionPacket): Promise<void> {
    if (packet.messageId !== undefined) this.#window.claim(client.id, packet.messageId);
  }

  /**
   * Durable before PUBCOMP leaves; else a later message under the same identifier would be taken for this one and lost.
   * aedes sends PUBCOMP even if this fails, so then the connection is closed first.
   */
  async incomingDelPacket(client: SessionClient, packet: { readonly messageId?: number | undefined }): Promise<void> {
    invariant(packet.messageId !== undefined, "PUBREL has an identifier");
    try {
      await this.#database.track(this.#window.release(client.id, packet.messageId));
    } catch (error) {
      client.conn?.destroy();
      this.#failed("QoS 2 message not released", error);
      throw error;
    }
  }

  cleanIncoming(client: { readonly id: string }): Promise<void> {
    return this.#database.track(this.#window.releaseAll(client.id));
  }

  // Wills

  putWill(client: SessionClient, packet: WillPacket): Promise<void> {
    return this.#wills.put(client, packet);
  }

  getWill(client: { readonly id: string }): Promise<WillPacket | undefined> {
    return this.#wills.get(client);
  }

  delWill(client: { readonly id: string }): Promise<WillPacket | undefined> {
    return this.#wills.delete(client);
  }

  /** The wills of other runs of the broker than `brokers` and this one; all wills without an argument. */
  streamWill(brokers?: Readonly<Record<string, unknown>>): Readable {
    return Readable.from(this.#wills.except(brokers));
  }

  #failed(message: string, error: unknown): void {
    this.#failures++;
    const { code } = toStreamError(error);
    this.#logger.error({ code, err: error, failures: this.#failures }, message);
  }
}
