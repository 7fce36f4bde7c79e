/**
 * Takes messages from a broker that already runs: an MQTT client with a persistent session and QoS 1, whose PUBACK
 * leaves when the sink has stored the message. What was not acknowledged the broker sends again in the next connection.
 *
 * MQTT.js takes the next message only when the last one is acknowledged, which would be a commit for each message. So
 * here it takes up to IN_FLIGHT_MAX at once: its own PUBACKs are kept back, and the bridge sends them as the sink
 * answers. At the maximum it stops reading, and TCP holds the broker back.
 */
import { connect } from "mqtt";
import type { IClientOptions, IPublishPacket, MqttClient, Packet } from "mqtt";
import type { Clock } from "../../shared/clock.ts";
import { toStreamError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logger.ts";
import type { PublishSink } from "./publish-sink.ts";

export type BridgeOptions = {
  /** mqtt, mqtts, ws or wss. */
  readonly url: string;
  /** Topic filters. */
  readonly topics: readonly string[];
  /** Names the persistent session: it must stay the same, and no other client may use it. */
  readonly clientId: string;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly sink: PublishSink;
  readonly logger: Logger;
  readonly clock: Clock;
  /** 0 to 1, for the back-off. */
  readonly random?: () => number;
  readonly backOff?: BackOff;
};

export type BackOff = { readonly minMs: number; readonly maxMs: number };

export type BridgeStats = {
  readonly isConnected: boolean;
  readonly inFlight: number;
  readonly received: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly connects: number;
};

/** Messages between their arrival and their PUBACK. */
const IN_FLIGHT_MAX = 1000;
const BACK_OFF: BackOff = { minMs: 1000, maxMs: 60_000 };
/** A connection that lasted this long starts the back-off from its beginning. */
const STABLE_MS = 10_000;
const CONNECT_TIMEOUT_MS = 10_000;
const CLOSE_TIMEOUT_MS = 5000;
const KEEP_ALIVE_SECONDS = 60;

/** What MQTT.js 5.16 has and its types keep private; test/interop/bridge-mosquitto.test.ts depends on it working. */
type PacketSender = { _sendPacket(packet: Packet, done?: (error?: Error) => void, stored?: () => void): void };

/** Waits between a half and the whole of minMs · 2^attempt, never more than maxMs. */
export function backOffMs(attempt: number, { minMs, maxMs }: BackOff, random: number): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30));
  return Math.round(ceiling / 2 + (ceiling / 2) * random);
}

export class Bridge {
  readonly #options: BridgeOptions;
  #client: MqttClient | undefined;
  #sendPacket: PacketSender["_sendPacket"] = () => undefined;
  /** Number of the connection: an answer that comes after its end must not acknowledge anything on the next. */
  #connection = 0;
  #connectedAtMs = 0;
  #attempt = 0;
  #reconnectTimer: NodeJS.Timeout | undefined;
  #isClosing = false;
  /** The last connection in which a message was refused. */
  #refusedConnection = -1;
  #isSubscribed = false;
  #inFlight = 0;
  /** Goes on with MQTT.js's next message. */
  #goOn: (() => void) | undefined;
  #onIdle: (() => void) | undefined;
  #received = 0;
  #acknowledged = 0;
  #refused = 0;
  #connects = 0;

  constructor(options: BridgeOptions) {
    this.#options = options;
  }

  stats(): BridgeStats {
    return {
      isConnected: this.#client?.connected === true,
      inFlight: this.#inFlight,
      received: this.#received,
      acknowledged: this.#acknowledged,
      refused: this.#refused,
      connects: this.#connects,
    };
  }

  /** Starts to connect, and goes on for ever: the broker need not be there yet. */
  start(): void {
    const { url, clientId, username, password, logger, sink } = this.#options;
    sink.onRoom(() => this.#readOn());
    const options: IClientOptions = {
      clientId,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      protocolVersion: 4,
      clean: false,
      keepalive: KEEP_ALIVE_SECONDS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      // MQTT.js knows only a fixed period, so the bridge reconnects by itself.
      reconnectPeriod: 0,
      reconnectOnConnackError: true,
      resubscribe: false,
    };
    const client = connect(url, options);
    this.#client = client;
    const sender = client as unknown as PacketSender;
    this.#sendPacket = sender._sendPacket.bind(client);
    sender._sendPacket = (packet, done, stored) => {
      if (packet.cmd === "puback") done?.();
      else this.#sendPacket(packet, done, stored);
    };
    client.handleMessage = (packet, next) => this.#receive(packet, next);
    client.on("connect", ({ sessionPresent }) => this.#connected(sessionPresent));
    client.on("close", () => this.#closed());
    client.on("error", (error) => logger.debug({ err: error }, "bridge connection error"));
  }

  /** Lets the sink finish what has arrived, within CLOSE_TIMEOUT_MS, then disconnects. The session stays. */
  async close(): Promise<void> {
    this.#isClosing = true;
    clearTimeout(this.#reconnectTimer);
    const client = this.#client;
    if (client === undefined) return;
    // MQTT.js gets no further message: what it holds is sent again in the session's next connection.
    client.handleMessage = () => undefined;
    this.#goOn = undefined;
    if (this.#inFlight > 0) {
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
        timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
      });
      clearTimeout(timer);
    }
    await client.endAsync(!client.connected);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #receive(packet: IPublishPacket, next: (error?: Error) => void): void {
    const { topic, payload, qos, retain, dup, messageId } = packet;
    const connection = this.#connection;
    // What comes behind a refused message is sent again after it; taken now, it would be stored before it (G2).
    if (connection === this.#refusedConnection) return;
    this.#received++;
    this.#inFlight++;
    this.#options.sink.publish(
      {
        clientId: this.#options.clientId,
        topic,
        payload: typeof payload === "string" ? Buffer.from(payload) : payload,
        qos,
        retain,
        dup,
        messageId,
      },
      (error) => this.#answered(packet, connection, error),
    );
    if (this.#inFlight < IN_FLIGHT_MAX && !this.#options.sink.isFull) next();
    else this.#goOn = next;
  }

  #answered({ qos, messageId }: IPublishPacket, connection: number, error: Error | undefined): void {
    this.#inFlight--;
    if (error !== undefined) this.#refuse(connection, error);
    else if (qos > 0 && messageId !== undefined && connection === this.#connection) {
      this.#acknowledged++;
      this.#sendPacket({ cmd: "puback", messageId, reasonCode: 0 });
    }
    this.#readOn();
    if (this.#inFlight === 0) this.#onIdle?.();
  }

  #readOn(): void {
    const goOn = this.#goOn;
    if (goOn === undefined || this.#inFlight >= IN_FLIGHT_MAX || this.#options.sink.isFull) return;
    this.#goOn = undefined;
    goOn();
  }

  /** Not stored: the broker sends it again only in a new connection, so this one ends. */
  #refuse(connection: number, error: Error): void {
    this.#refused++;
    if (connection !== this.#connection) return;
    this.#refusedConnection = connection;
    this.#options.logger.warn({ code: toStreamError(error).code, err: error }, "bridge message not stored");
    this.#client?.stream.destroy();
  }

  #connected(isSessionPresent: boolean): void {
    const { url, topics, clock, logger } = this.#options;
    this.#connects++;
    this.#connectedAtMs = clock.monotonicMs();
    logger.info({ broker: withoutPassword(url), isSessionPresent }, "bridge connected");
    // Subscribing again has the broker send its retained messages again. The first time the filters may be new to it.
    if (isSessionPresent && this.#isSubscribed) return;
    this.#client?.subscribe([...topics], { qos: 1 }, (error, granted) => {
      const refused = granted?.filter((grant) => (grant.qos as number) > 2).map((grant) => grant.topic) ?? [];
      if (error == null && refused.length === 0) this.#isSubscribed = true;
      else logger.error({ err: error ?? undefined, refused }, "bridge subscription refused");
    });
  }

  #closed(): void {
    this.#connection++;
    this.#goOn = undefined;
    if (this.#isClosing) return;
    const { clock, random = Math.random, backOff = BACK_OFF, logger, url } = this.#options;
    const wasConnected = this.#connectedAtMs > 0;
    if (wasConnected && clock.monotonicMs() - this.#connectedAtMs >= STABLE_MS) this.#attempt = 0;
    this.#connectedAtMs = 0;
    const delayMs = backOffMs(this.#attempt, backOff, random());
    this.#attempt++;
    logger.warn({ broker: withoutPassword(url), delayMs, attempt: this.#attempt }, "bridge disconnected");
    this.#reconnectTimer = setTimeout(() => this.#client?.reconnect(), delayMs);
  }
}

function withoutPassword(url: string): string {
  const parsed = new URL(url);
  parsed.password = "";
  return parsed.href;
}
