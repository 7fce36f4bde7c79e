/**
 * Persistent sessions and their subscriptions: all in memory, written through; memory moves after the commit.
 *
 * Most messages match no subscription of a session; that answer is a promise made beforehand.
 */
import type MemoryPersistence from "aedes-persistence/asyncPersistence.js";
import type { StoredSubscription } from "aedes-persistence/asyncPersistence.js";
import { limitError } from "./broker-errors.ts";
import type { IncomingWindow } from "./incoming-window.ts";
import type { LimitLog } from "./limit-log.ts";
import type { MqttLimits } from "./limits.ts";
import type { QueueOwners } from "./outgoing-queues.ts";
import type { SessionDatabase } from "./session-database.ts";
import type { LoadedSessions, QosLevel, SubscriptionRow } from "./session-tables.ts";

export type MatchingSubscription = StoredSubscription & { readonly clientId: string };

export type SessionStoreOptions = {
  readonly database: SessionDatabase;
  /** Holds the subscriptions, and answers for them. */
  readonly mirror: MemoryPersistence;
  readonly window: IncomingWindow;
  readonly limits: MqttLimits;
  readonly limitLog: LimitLog;
};

type Session = {
  /** Time offline while the agent ran: the wall clock of a gateway without a battery proves nothing. */
  offlineMs: number;
  isEnding: boolean;
};

/** Topics whose matches are remembered; all are forgotten when a subscription changes or this is full. */
const MATCHES_MAX = 4096;

const NO_SUBSCRIPTIONS: readonly MatchingSubscription[] = [];
const NOBODY = Promise.resolve(NO_SUBSCRIPTIONS);

export class SessionStore implements QueueOwners {
  readonly #database: SessionDatabase;
  readonly #mirror: MemoryPersistence;
  readonly #window: IncomingWindow;
  readonly #limits: MqttLimits;
  readonly #limitLog: LimitLog;
  readonly #sessions = new Map<string, Session>();
  readonly #matches = new Map<string, Promise<readonly MatchingSubscription[]>>();
  /** Of those topics, the ones that nobody subscribes to. */
  readonly #unmatched = new Set<string>();
  readonly #refused = new WeakSet<object>();
  readonly #subscribing = new WeakMap<object, Promise<void>>();
  #hasSubscriptions = false;

  constructor({ database, mirror, window, limits, limitLog }: SessionStoreOptions) {
    this.#database = database;
    this.#mirror = mirror;
    this.#window = window;
    this.#limits = limits;
    this.#limitLog = limitLog;
  }

  async load({ sessions, subscriptions }: LoadedSessions): Promise<void> {
    for (const { clientId, offlineMs } of sessions) this.#sessions.set(clientId, { offlineMs, isEnding: false });
    for (const { clientId, topic, options } of subscriptions) {
      const subscription = { topic, ...(JSON.parse(options) as { qos: QosLevel }) };
      await this.#mirror.addSubscriptions({ id: clientId }, [subscription]);
    }
    await this.#subscriptionsChanged();
  }

  get count(): number {
    return this.#sessions.size;
  }

  has(clientId: string): boolean {
    return this.#sessions.has(clientId);
  }

  isEnding(clientId: string): boolean {
    return this.#sessions.get(clientId)?.isEnding === true;
  }

  opened(clientId: string): void {
    this.#open(clientId);
  }

  /** Tells that one of the subscriptions aedes will hand to `addSubscriptions` was refused. */
  refuse(subscription: object): void {
    this.#refused.add(subscription);
  }

  /**
   * aedes calls this once for each subscription of a packet, each time with all of them, refused ones included: so it
   * waits until all are judged and stores them once.
   */
  add(client: { readonly id: string }, subscriptions: readonly StoredSubscription[]): Promise<void> {
    let stored = this.#subscribing.get(subscriptions);
    if (stored === undefined) {
      stored = this.#database.track(this.#subscribe(client.id, subscriptions)).finally(() => {
        this.#subscribing.delete(subscriptions);
      });
      this.#subscribing.set(subscriptions, stored);
    }
    return stored;
  }

  async #subscribe(clientId: string, subscriptions: readonly StoredSubscription[]): Promise<void> {
    await Promise.resolve();
    const granted = subscriptions.filter((subscription) => !this.#refused.has(subscription));
    if (granted.length === 0) return;
    if (!this.#sessions.has(clientId) && this.#sessions.size >= this.#limits.sessionsMax) {
      throw limitError("sessionsMax");
    }
    const rows = granted.map(({ topic, ...options }): SubscriptionRow => {
      return { clientId, topic, options: JSON.stringify(options) };
    });
    await this.#database.call("subscribe", { clientId, rows }, "fsync");
    this.#open(clientId);
    await this.#mirror.addSubscriptions({ id: clientId }, granted);
    await this.#subscriptionsChanged();
  }

  async remove(client: { readonly id: string }, topics: readonly string[]): Promise<void> {
    if (!this.#sessions.has(client.id)) return;
    await this.#database.call("unsubscribe", { clientId: client.id, topics }, "fsync");
    await this.#mirror.removeSubscriptions(client, topics);
    await this.#subscriptionsChanged();
  }

  /** Ends the client's session, its queue included [MQTT-3.1.2-6]. */
  async end(clientId: string): Promise<void> {
    const session = this.#open(clientId);
    // Nothing more is queued for it, so that the deletion leaves nothing behind.
    session.isEnding = true;
    try {
      await this.#database.call("endSession", clientId, "fsync");
    } catch (error) {
      session.isEnding = false;
      throw error;
    }
    await this.#mirror.cleanSubscriptions({ id: clientId });
    this.#sessions.delete(clientId);
    await this.#subscriptionsChanged();
  }

  byTopic(topic: string): Promise<readonly MatchingSubscription[]> {
    if (!this.#hasSubscriptions) return NOBODY;
    const known = this.#matches.get(topic);
    if (known !== undefined) return known;
    if (this.#matches.size >= MATCHES_MAX) this.#forgetMatches();
    const matching = this.#mirror.subscriptionsByTopic(topic).then((subscriptions) => {
      if (subscriptions.length > 0) return subscriptions;
      if (this.#matches.get(topic) === matching) this.#unmatched.add(topic);
      return NO_SUBSCRIPTIONS;
    });
    this.#matches.set(topic, matching);
    return matching;
  }

  /** False when `byTopic` would find none; true also for a topic that it was not asked for yet. */
  mayMatch(topic: string): boolean {
    return this.#hasSubscriptions && !this.#unmatched.has(topic);
  }

  /** Adds `elapsedMs` to the time offline of sessions without a connection; ends those that were away too long. */
  async age(elapsedMs: number, isConnected: (clientId: string) => boolean): Promise<void> {
    const aged: { clientId: string; offlineMs: number }[] = [];
    for (const clientId of this.#window.clientIds()) {
      if (!isConnected(clientId)) this.#open(clientId);
    }
    for (const [clientId, session] of this.#sessions) {
      const isOnline = isConnected(clientId);
      if (isOnline && session.offlineMs === 0) continue;
      session.offlineMs = isOnline ? 0 : session.offlineMs + elapsedMs;
      if (session.offlineMs <= this.#limits.sessionExpiryMs) {
        aged.push({ clientId, offlineMs: session.offlineMs });
        continue;
      }
      this.#limitLog.reached("sessionExpiryMs", { clientId });
      await this.#window.releaseAll(clientId);
      await this.end(clientId);
    }
    if (aged.length > 0) await this.#database.call("saveAges", aged, "os");
  }

  #open(clientId: string): Session {
    let session = this.#sessions.get(clientId);
    if (session === undefined) {
      session = { offlineMs: 0, isEnding: false };
      this.#sessions.set(clientId, session);
    }
    return session;
  }

  #forgetMatches(): void {
    this.#matches.clear();
    this.#unmatched.clear();
  }

  async #subscriptionsChanged(): Promise<void> {
    this.#forgetMatches();
    const { subsCount } = await this.#mirror.countOffline();
    this.#hasSubscriptions = subsCount > 0;
  }
}
