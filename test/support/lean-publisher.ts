/**
 * One MQTT client that publishes as fast as its window lets it and never gives up: whatever happens to the connection, it
 * connects again and goes on with its session. Its packets are made once by mqtt-packet and then only numbered, so that
 * tens of clients in one process can load an agent.
 *
 *   start ─▶ connecting ─CONNACK─▶ again what is in flight ─▶ publish while window and allowance last ─▶ all answered
 *                ▲                                                    │ connection lost
 *                └──────────────── RECONNECT_MS ◀─────────────────────┘
 */
import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import type { Socket } from "node:net";
import mqttPacket from "mqtt-packet";
import { AnswerReader } from "./answer-reader.ts";
import type { Answer } from "./answer-reader.ts";
import { InFlight } from "./in-flight.ts";
import { nowUs, payloadTemplate, SENT_AT_DIGITS, SEQUENCE_DIGITS, writeDigits } from "./payload.ts";
import { PublishHistory } from "./publish-history.ts";
import type { Qos } from "./publish-history.ts";

export type PublisherOptions = {
  readonly port: number;
  readonly clientId: string;
  readonly topic: string;
  readonly qos: Qos;
  /** Messages in all; Infinity: until `stop`. */
  readonly count: number;
  /** Messages that wait for their answers. */
  readonly windowMax: number;
  readonly payloadBytes: number;
  /** Fill the payload with what no codec makes much smaller; the same for a message that is sent again. */
  readonly isIncompressible?: boolean;
  /** Send only what `allow` grants; otherwise as fast as the window lets it. */
  readonly isPaced?: boolean;
};

const NOISE_BYTES = 1024 * 1024;
/** Prime, so that messages seldom begin at the same place. */
const NOISE_STRIDE = 7919;
let noiseMade: Buffer | undefined;

/** Text, because payloads are printed. */
function noise(): Buffer {
  noiseMade ??= Buffer.from(randomBytes((NOISE_BYTES * 3) / 4).toString("base64"));
  return noiseMade;
}

const RECONNECT_MS = 30;
const KEEP_ALIVE_SECONDS = 60;
const DUP_FLAG = 0x08;
/** Packets of one write: QoS 0 knows no window. */
const WRITE_PACKETS_MAX = 64;

type PacketTemplate = {
  readonly bytes: Buffer;
  /** Undefined at QoS 0. */
  readonly packetIdAt: number | undefined;
  readonly sequenceAt: number;
  readonly sentAtAt: number;
};

type Numbers = { readonly packetId: number; readonly sequence: number; readonly sentAtUs: number };

export class LeanPublisher {
  readonly history: PublishHistory;
  /** Everything is sent and answered. Rejects when the agent breaks the protocol or refuses the client. */
  readonly done: Promise<void>;
  readonly #options: PublisherOptions;
  readonly #inFlight: InFlight;
  readonly #template: PacketTemplate;
  readonly #settled = Promise.withResolvers<void>();
  #phase: "idle" | "connecting" | "connected" | "closed" = "idle";
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #countMax: number;
  #allowance: number;
  #connectionCount = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.history = new PublishHistory(options.clientId, options.qos);
    this.#inFlight = new InFlight(this.history);
    this.#template = packetTemplate(options);
    this.#countMax = options.count;
    this.#allowance = options.isPaced === true ? 0 : Infinity;
    this.done = this.#settled.promise;
    // Who never asks for `done` must not be ended by its rejection.
    this.done.catch(() => undefined);
  }

  /** Connections that were accepted. */
  get connectionCount(): number {
    return this.#connectionCount;
  }

  start(): void {
    if (this.#phase === "idle") this.#connect();
  }

  /** No new messages; those in flight are still seen through. */
  stop(): void {
    this.#countMax = Math.min(this.#countMax, this.history.sentCount);
    this.#finishIfDone();
  }

  /** May send this many more, on top of what is left; a paced client that cannot keep up does not save up for ever. */
  allow(count: number): void {
    this.#allowance = Math.min(this.#allowance + count, this.#options.windowMax * 2);
    this.#pump();
  }

  /** Drops the connection and stays away. */
  close(): void {
    this.#phase = "closed";
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #connect(): void {
    this.#phase = "connecting";
    const socket = connect({ port: this.#options.port, host: "127.0.0.1", noDelay: true });
    const answers = new AnswerReader();
    this.#socket = socket;
    socket.once("connect", () => {
      // A session that outlives the connection: without it the packet identifiers would mean nothing afterwards.
      const identity = { clientId: this.#options.clientId, clean: false, keepalive: KEEP_ALIVE_SECONDS };
      socket.write(mqttPacket.generate({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, ...identity }));
    });
    socket.on("data", (chunk: Buffer) => this.#read(answers, chunk));
    socket.on("drain", () => this.#pump());
    // A refused or reset connection ends in "close" like any other.
    socket.on("error", () => undefined);
    socket.once("close", () => {
      if (this.#phase === "closed") return;
      this.#phase = "connecting";
      this.#timer = setTimeout(() => this.#connect(), RECONNECT_MS);
    });
  }

  #read(answers: AnswerReader, chunk: Buffer): void {
    const released: number[] = [];
    try {
      answers.read(chunk, (answer, value) => this.#take(answer, value, released));
    } catch (error) {
      this.close();
      this.#settled.reject(error);
      return;
    }
    this.#release(released);
    this.#pump();
    this.#finishIfDone();
  }

  #take(answer: Answer, value: number, released: number[]): void {
    switch (answer) {
      case "connack":
        return this.#connected(value & 0xff);
      case "puback":
        return this.#inFlight.puback(value);
      case "pubrec":
        this.#inFlight.pubrec(value);
        released.push(value);
        return;
      case "pubcomp":
        return this.#inFlight.pubcomp(value);
    }
  }

  #connected(returnCode: number): void {
    if (returnCode !== 0) throw new Error(`${this.#options.clientId} is refused: CONNACK ${returnCode}`);
    this.#phase = "connected";
    this.#connectionCount++;
    // The session present flag is not asked: the sender's half of the session is here, and sending it again is safe.
    for (const message of this.#inFlight.resume()) {
      if (message.phase === "released") this.#release([message.packetId]);
      else this.#socket?.write(this.#number(Buffer.from(this.#template.bytes), 0, { ...message, isDup: true }));
    }
  }

  #release(packetIds: readonly number[]): void {
    for (const messageId of packetIds) {
      this.#socket?.write(mqttPacket.generate({ cmd: "pubrel", messageId }));
    }
  }

  #pump(): void {
    const length = this.#template.bytes.length;
    for (;;) {
      const socket = this.#socket;
      if (this.#phase !== "connected" || socket === undefined || socket.writableNeedDrain) return;
      const room = Math.min(
        this.#options.windowMax - this.#inFlight.size,
        this.#countMax - this.history.sentCount,
        this.#allowance,
        WRITE_PACKETS_MAX,
      );
      if (room <= 0) return this.#finishIfDone();
      const packets = Buffer.allocUnsafe(room * length);
      for (let index = 0; index < room; index++) {
        this.#template.bytes.copy(packets, index * length);
        this.#number(packets, index * length, { ...this.#next(), isDup: false });
      }
      this.#allowance -= room;
      socket.write(packets);
    }
  }

  #next(): Numbers {
    const sentAtUs = nowUs();
    if (this.#options.qos === 0) return { packetId: 0, sequence: this.history.send(), sentAtUs };
    return this.#inFlight.publish(sentAtUs);
  }

  /** Fills the numbers into the copy of the template at `at`. */
  #number(target: Buffer, at: number, message: Numbers & { readonly isDup: boolean }): Buffer {
    const { packetIdAt, sequenceAt, sentAtAt } = this.#template;
    if (message.isDup) target[at] = (target[at] ?? 0) | DUP_FLAG;
    if (packetIdAt !== undefined) target.writeUInt16BE(message.packetId, at + packetIdAt);
    writeDigits(target, { at: at + sequenceAt, digits: SEQUENCE_DIGITS, value: message.sequence });
    writeDigits(target, { at: at + sentAtAt, digits: SENT_AT_DIGITS, value: message.sentAtUs });
    if (this.#options.isIncompressible !== true) return target;
    const from = sentAtAt + SENT_AT_DIGITS + 1;
    const noiseAt = (message.sequence * NOISE_STRIDE) % (NOISE_BYTES / 2);
    noise().copy(target, at + from, noiseAt, noiseAt + this.#template.bytes.length - from);
    return target;
  }

  #finishIfDone(): void {
    if (this.history.sentCount < this.#countMax || this.#inFlight.size > 0) return;
    this.#settled.resolve();
  }
}

/** By mqtt-packet, so that this file knows of the format only where the numbers stand. */
function packetTemplate({ clientId, topic, qos, payloadBytes }: PublisherOptions): PacketTemplate {
  const payload = payloadTemplate(clientId, payloadBytes);
  const identity = qos === 0 ? {} : { messageId: 1 };
  const packet = {
    cmd: "publish",
    topic,
    payload: payload.bytes,
    qos,
    dup: false,
    retain: false,
    ...identity,
  } as const;
  const bytes = mqttPacket.generate(packet);
  const payloadAt = bytes.length - payloadBytes;
  return {
    bytes,
    packetIdAt: qos === 0 ? undefined : payloadAt - 2,
    sequenceAt: payloadAt + payload.sequenceAt,
    sentAtAt: payloadAt + payload.sentAtAt,
  };
}
