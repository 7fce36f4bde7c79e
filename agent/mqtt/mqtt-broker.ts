/**
 * aedes with the agent's rules: who may connect, what may be subscribed and published, and the way of every message to
 * the sink, which is before aedes acknowledges it and before it publishes it to its own subscribers. Where the sink
 * fails there is no acknowledgement: the connection is closed, and the client sends again. Most messages take a shorter
 * way, under the same rules (publish-shortcut.ts).
 *
 * A crash between PUBACK and the queueing for local persistent sessions costs such a session its copy at QoS 1 (aedes
 * acknowledges first); the record itself is in the log.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { Aedes } from "aedes";
import type { AuthenticateError, Client } from "aedes";
import type { Clock } from "../../shared/clock.ts";
import { isLoopbackHost } from "../../shared/config/listen-address.ts";
import type { Logger } from "../../shared/logger.ts";
import { isTopicPlain, judgeConnect, judgeSubscription, judgeTopicName } from "./admission.ts";
import type { ConnectRequest } from "./admission.ts";
import { judgeConnectionError, limitError } from "./broker-errors.ts";
import { IncomingWindow } from "./incoming-window.ts";
import type { IncomingPackets } from "./incoming-window.ts";
import type { LimitLog } from "./limit-log.ts";
import type { LimitName, MqttLimits } from "./limits.ts";
import { LocalFilters } from "./local-filters.ts";
import { SessionPersistence } from "./persistence.ts";
import { PublishPace } from "./publish-pace.ts";
import { PublishShortcut } from "./publish-shortcut.ts";
import type { PublishMessage, PublishSink } from "./publish-sink.ts";
import { ReadGate } from "./read-gate.ts";
import type { SessionLog } from "./session-database.ts";
import type { WillPacket } from "./session-packets.ts";

/** Whether the user may connect. Absent: everybody may. */
export type Authenticate = (credentials: {
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
}) => boolean | Promise<boolean>;

export type MqttBrokerOptions = {
  readonly authenticate?: Authenticate | undefined;
  /** Who may subscribe to `#`, `+/…` and `$SYS`; loopback by default. */
  readonly wideSubscriptions?: "loopback" | "everybody" | "nobody" | undefined;
  readonly limits: MqttLimits;
  readonly log: SessionLog;
  readonly sink: PublishSink;
  readonly incoming: IncomingPackets;
  readonly logger: Logger;
  readonly clock: Clock;
};

type Connection = {
  readonly address: string;
  readonly isLoopback: boolean;
  /** Programs on the gateway itself publish as fast as they like. */
  readonly pace: PublishPace | undefined;
  /** Topic filters that were granted. */
  readonly subscriptions: Set<string>;
  client: BrokerClient | undefined;
  shortcut: PublishShortcut | undefined;
  username: string | undefined;
  identifierRefusal: LimitName | undefined;
  /** aedes reports each message it had under way when a connection fails; the first report has the reason. */
  hasFailed: boolean;
};
/** What aedes 1.2.0 has and its types leave out. */
type BrokerClient = Client & { pause(): void };
type Publish = (packet: PublishedPacket, client: Client, done: Done) => void;

type PublishedPacket = {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly dup?: boolean;
  readonly messageId?: number | undefined;
  /** Of a will. */
  readonly clientId?: string;
};
type Done = (error?: Error | null) => void;

const RETURN_CODE_NOT_AUTHORIZED = 5;
/** aedes goes on in later turns of the event loop: after a PUBLISH to its subscribers, then to PUBREC. */
const TURNS_AFTER_ANSWER = 3;

export class MqttBroker {
  readonly #options: MqttBrokerOptions;
  readonly #limits: MqttLimits;
  readonly #logger: Logger;
  readonly #limitLog: LimitLog;
  readonly #window: IncomingWindow;
  readonly #persistence: SessionPersistence;
  readonly #aedes: Aedes;
  readonly #connections = new Map<Duplex, Connection>();
  /** Of all connections. */
  readonly #filters = new LocalFilters();
  readonly #gate: ReadGate;
  readonly #isTopicPlain: (topic: string) => boolean;
  /** Messages the sink has not answered. */
  #pending = 0;
  #onIdle: (() => void) | undefined;

  constructor(options: MqttBrokerOptions, limitLog: LimitLog) {
    const { limits, log, logger, incoming } = options;
    this.#options = options;
    this.#limits = limits;
    this.#isTopicPlain = (topic) => isTopicPlain(topic, limits);
    this.#logger = logger;
    this.#limitLog = limitLog;
    this.#window = new IncomingWindow(incoming, limits.incomingPacketsMax, limitLog);
    this.#persistence = new SessionPersistence({ log, window: this.#window, limits, limitLog, logger });
    this.#aedes = this.#createAedes();
    const { sink } = options;
    this.#gate = new ReadGate(() => sink.isFull);
    sink.onRoom(() => this.#gate.open());
  }

  /** Publishes the wills of clients that were connected when the last run was killed. */
  async start(): Promise<void> {
    await this.#aedes.listen();
    await this.#publishLeftWills();
  }

  stats() {
    return this.#persistence.stats();
  }

  /** Adds `elapsedMs` to the time offline of the sessions without a connection. */
  ageSessions(elapsedMs: number): Promise<void> {
    return this.#persistence.age(elapsedMs);
  }

  /** Serves the connection until it ends. */
  serve(stream: Duplex, address: string, request?: IncomingMessage): void {
    const isLoopback = isLoopbackHost(address);
    const connection: Connection = {
      address,
      isLoopback,
      pace: isLoopback ? undefined : new PublishPace(this.#limits.publishesPerSecondMax),
      subscriptions: new Set(),
      client: undefined,
      shortcut: undefined,
      username: undefined,
      identifierRefusal: undefined,
      hasFailed: false,
    };
    this.#connections.set(stream, connection);
    stream.once("close", () => {
      this.#connections.delete(stream);
      for (const filter of connection.subscriptions) this.#filters.remove(filter);
    });
    this.#gate.guard(stream);
    const client = this.#aedes.handle(stream, request) as BrokerClient;
    connection.client = client;
    connection.shortcut = new PublishShortcut(client, stream, {
      isTopicPlain: this.#isTopicPlain,
      isHeard: this.#isHeard,
      toSink: this.#toSink,
      paced: (done) => this.#paced(connection, done),
      publish: (message, done) => (this.#aedes as unknown as { publish: Publish }).publish(message, client, done),
    });
  }

  /** Reads nothing more from any connection. */
  pause(): void {
    for (const { client } of this.#connections.values()) client?.pause();
    this.#gate.leaveOpen();
  }

  /** Resolves when the sink has answered everything and what follows from the answers is written. */
  async settle(): Promise<void> {
    do {
      if (this.#pending > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
      await this.#persistence.idle();
      for (let turn = 0; turn < TURNS_AFTER_ANSWER; turn++) await new Promise(setImmediate);
    } while (this.#pending > 0);
    await this.#persistence.idle();
  }

  /** Ends our side of every connection; resolves when the other sides have ended too. */
  async endConnections(): Promise<void> {
    await Promise.all([...this.#connections.keys()].map(endStream));
  }

  /** Ends what is left and publishes the wills. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#aedes.close(resolve));
  }

  #createAedes(): Aedes {
    const limits = this.#limits;
    const aedes = new Aedes({
      persistence: this.#persistence,
      connectTimeout: limits.connectTimeoutMs,
      drainTimeout: limits.drainTimeoutMs,
      maxTopicLevels: limits.topicLevelsMax,
      maxClientsIdLength: limits.clientIdBytesMax,
      queueLimit: limits.packetsBeforeConnackMax,
      // Judged by the window, before the message is stored; aedes would refuse it afterwards.
      maxInflightInbound: 0,
      preConnect: (client, packet, done) => {
        const refusal = this.#judgeConnect(client, packet);
        done(refusal ?? null, refusal === undefined);
      },
      authenticate: (client, username, password, done) => this.#authenticate(client, { username, password }, done),
      authorizePublish: this.#authorizePublish,
      authorizeSubscribe: (client, subscription, done) => {
        done(null, this.#grantSubscription(client, subscription) ? subscription : null);
      },
    });
    aedes.on("unsubscribe", (topics, client) => {
      const granted = this.#connections.get(client.conn)?.subscriptions;
      for (const topic of topics) if (granted?.delete(topic) === true) this.#filters.remove(topic);
    });
    aedes.on("clientReady", (client) => {
      if (client.clean) this.#options.sink.beginSession?.(client.id);
    });
    aedes.on("clientError", (client, error) => this.#connectionFailed(client, error));
    aedes.on("connectionError", (client, error) => this.#connectionFailed(client, error));
    (aedes as NodeJS.EventEmitter).on("error", (error: Error) => {
      this.#logger.error({ err: error }, "MQTT broker failed");
    });
    return aedes;
  }

  // Connections

  /** The error with which the connection is closed without CONNACK, if it is. */
  #judgeConnect(client: Client, packet: ConnectRequest): Error | undefined {
    const connection = this.#connections.get(client.conn);
    if (connection === undefined) return limitError("malformedPacket");
    const refusal = judgeConnect(packet, this.#limits, connection.isLoopback);
    if (refusal === undefined) return undefined;
    if (refusal.returnCode === undefined) return limitError(refusal.limit);
    // Only a failed authentication makes aedes send a CONNACK of our choice.
    connection.identifierRefusal = refusal.limit;
    return undefined;
  }

  #authenticate(
    client: Client,
    { username, password }: { username: string | undefined; password: Buffer | undefined },
    done: (error: AuthenticateError | null, isAllowed: boolean | null) => void,
  ): void {
    const refuse = (limit: LimitName, returnCode: number): void => {
      done(limitError(limit, returnCode) as AuthenticateError, null);
    };
    const connection = this.#connections.get(client.conn);
    if (connection === undefined) return refuse("credentials", RETURN_CODE_NOT_AUTHORIZED);
    if (connection.identifierRefusal !== undefined) return refuse(connection.identifierRefusal, 2);
    connection.username = username;
    const { authenticate } = this.#options;
    if (authenticate === undefined) return done(null, true);
    Promise.resolve()
      .then(() => authenticate({ clientId: client.id, username, password }))
      .then((isAllowed) => {
        if (isAllowed && this.#mayTakeOver(client.id, username)) done(null, true);
        else refuse("credentials", RETURN_CODE_NOT_AUTHORIZED);
      })
      .catch((error: unknown) => {
        this.#logger.error({ err: error, clientId: client.id }, "MQTT authentication failed to decide");
        refuse("credentials", RETURN_CODE_NOT_AUTHORIZED);
      });
  }

  #mayTakeOver(clientId: string, username: string | undefined): boolean {
    for (const { client, username: owner } of this.#connections.values()) {
      if (client?.id === clientId && client.connected && owner !== username) return false;
    }
    return true;
  }

  #grantSubscription(client: Client, subscription: { readonly topic: string }): boolean {
    const connection = this.#connections.get(client.conn);
    if (connection === undefined) return false;
    const { topic } = subscription;
    const { subscriptions } = connection;
    const { wideSubscriptions = "loopback" } = this.#options;
    const isWideAllowed =
      wideSubscriptions === "everybody" || (wideSubscriptions === "loopback" && connection.isLoopback);
    const count = subscriptions.size - (subscriptions.has(topic) ? 1 : 0);
    const limit = judgeSubscription({ topic, count, isWideAllowed }, this.#limits);
    if (limit === undefined) {
      if (!subscriptions.has(topic)) this.#filters.add(topic);
      subscriptions.add(topic);
      return true;
    }
    this.#limitLog.reached(limit, { clientId: client.id, address: connection.address });
    this.#persistence.refuse(subscription);
    return false;
  }

  #connectionFailed(client: Client, error: Error): void {
    const connection = this.#connections.get(client.conn);
    if (connection === undefined || connection.hasFailed) return;
    connection.hasFailed = true;
    const end = judgeConnectionError(error);
    const clientId = client.id ?? "";
    const { address } = connection;
    if (end.type === "limit") this.#limitLog.reached(end.limit, { clientId, address, cause: error.message });
    else if (end.type === "refused") this.#logger.debug({ code: end.code, clientId }, "MQTT message not accepted");
  }

  // Messages

  /** aedes asks this for every will and every PUBLISH that takes the long way, before anything else happens to them. */
  readonly #authorizePublish = (client: Client | null, packet: PublishedPacket, done: Done): void => {
    const limit = judgeTopicName(packet.topic, this.#limits);
    if (limit !== undefined) return done(limitError(limit));
    if (client === null) return this.#toSink(messageOf(packet.clientId ?? "", packet), done);
    const connection = this.#connections.get(client.conn);
    const answer = this.#paced(connection, (error) => {
      connection?.shortcut?.flush();
      done(error);
    });
    if (packet.qos === 2 && packet.messageId !== undefined) return this.#publishQosTwo(client, packet, answer);
    this.#toSink(messageOf(client.id, packet), answer);
  };

  /** Whether somebody here, or a session that is offline, may listen to the topic. */
  readonly #isHeard = (topic: string): boolean => this.#filters.matches(topic) || this.#persistence.isQueued(topic);

  /** The answer, held back while the client is over its rate; an error is told at once. */
  #paced(connection: Connection | undefined, done: Done): Done {
    const delayMs = connection?.pace?.delayMs(this.#options.clock.monotonicMs()) ?? 0;
    if (connection === undefined || delayMs === 0) return done;
    const clientId = connection.client?.id ?? "";
    this.#limitLog.reached("publishesPerSecondMax", { clientId, address: connection.address });
    return (error) => {
      if (error != null) return done(error);
      setTimeout(done, delayMs);
    };
  }

  #publishQosTwo(client: Client, packet: PublishedPacket, done: Done): void {
    const messageId = packet.messageId!;
    const admission = this.#window.admit(client, client.id, messageId);
    if (admission === "full") return done(limitError("incomingPacketsMax"));
    if (admission !== "admitted") {
      admission.then(() => this.#publishQosTwo(client, packet, done), done);
      return;
    }
    this.#toSink(messageOf(client.id, packet), (error) => {
      this.#window.settled(client.id, messageId, error == null);
      done(error);
    });
  }

  readonly #toSink = (message: PublishMessage, done: Done): void => {
    this.#pending++;
    this.#options.sink.publish(message, (error) => {
      this.#pending--;
      done(error);
      if (this.#pending === 0 && this.#onIdle !== undefined) this.#onIdle();
    });
  };

  /** MQTT 3.1.1, section 3.1.2.5: a server that failed may publish the wills when it is back. */
  async #publishLeftWills(): Promise<void> {
    for await (const will of this.#persistence.streamWill({})) {
      const { clientId = "", topic, payload, qos = 0, retain = false } = will as WillPacket;
      const packet = { cmd: "publish" as const, topic, payload, qos, retain, dup: false };
      try {
        await called((done) => this.#toSink(messageOf(clientId, packet), done));
        await called((done) => this.#aedes.publish(packet, done));
        await this.#persistence.delWill({ id: clientId });
      } catch (error) {
        // It stays stored: aedes tries again every few minutes, and so does the next start.
        this.#logger.warn({ err: error, clientId }, "will of the last run not published");
      }
    }
  }
}

function messageOf(clientId: string, packet: PublishedPacket): PublishMessage {
  const { topic, payload, qos, retain, dup, messageId } = packet;
  return { clientId, topic, payload: payload as Buffer, qos, retain, dup: dup === true, messageId };
}

function called(work: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => work((error) => (error == null ? resolve() : reject(error))));
}

/**
 * Ends our side and reads on to the end of the other: closing with bytes unread would make a reset of it, which can
 * overtake the last acknowledgements.
 */
function endStream(stream: Duplex): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  stream.once("close", resolve);
  stream.removeAllListeners("readable");
  stream.end();
  stream.resume();
  return promise;
}
