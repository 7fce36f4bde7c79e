/**
 * One MQTT client of a benchmark: sends from its ring as fast as window and allowance let it, and counts the answers.
 * Nothing is sent again: a lost connection ends the measurement.
 *
 * At QoS 1 a PUBACK opens the window by one. QoS 0 has no answers, so a PINGREQ follows each full window and its PINGRESP
 * says that the broker has read what was before it; otherwise the load would be measured by what the sockets hold.
 */
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import mqttPacket from "mqtt-packet";
import { nowUs } from "../../test/support/payload.ts";
import { PacketRing } from "./packets.ts";
import type { RingOptions } from "./packets.ts";

export type PublisherOptions = RingOptions & {
  readonly port: number;
  readonly windowMax: number;
  /** Send only what `allow` grants, each stamped with the time. */
  readonly isPaced: boolean;
};

const CONNACK = 0x20;
const PUBACK = 0x40;
const PINGRESP = 0xd0;
const CONNACK_BYTES = 4;
const PUBACK_BYTES = 4;
const PINGRESP_BYTES = 2;
const PINGREQ = Buffer.from([0xc0, 0]);
const KEEP_ALIVE_SECONDS = 300;

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #ring: PacketRing;
  readonly #socket: Socket;
  readonly #onFailure: (error: Error) => void;
  #rest: Buffer = Buffer.alloc(0);
  #next = 0;
  #inFlight = 0;
  #allowance = 0;
  /** QoS 0: sent since the last PINGREQ, and by PINGREQ those that its answer covers. */
  #unpinged = 0;
  readonly #pinged: number[] = [];
  ackedCount = 0;

  private constructor(options: PublisherOptions, socket: Socket, onFailure: (error: Error) => void) {
    this.#options = options;
    this.#ring = new PacketRing(options);
    this.#socket = socket;
    this.#onFailure = onFailure;
  }

  /** Returns when the broker has accepted the client. `onFailure` hears of everything that ends it afterwards. */
  static async connect(options: PublisherOptions, onFailure: (error: Error) => void): Promise<Publisher> {
    const socket = connect({ port: options.port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    const identity = { clientId: options.clientId, clean: true, keepalive: KEEP_ALIVE_SECONDS };
    socket.write(mqttPacket.generate({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, ...identity }));
    const [answer] = (await once(socket, "data")) as [Buffer];
    if (answer.length !== CONNACK_BYTES || answer[0] !== CONNACK || answer[3] !== 0) {
      throw new Error(`${options.clientId} is refused: ${answer.toString("hex")}`);
    }
    const publisher = new Publisher(options, socket, onFailure);
    socket.on("data", (chunk: Buffer) => publisher.#read(chunk));
    socket.on("drain", () => publisher.#pump());
    socket.once("error", onFailure);
    socket.once("close", () => onFailure(new Error(`${options.clientId} was disconnected`)));
    return publisher;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  allow(count: number): void {
    this.#allowance += count;
    this.#pump();
  }

  /** Nothing new; what is in flight is still answered. Returns what was granted and not sent. */
  stop(): number {
    const unsent = this.#allowance;
    this.#allowance = 0;
    if (this.#unpinged > 0) this.#ping();
    return unsent;
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }

  #pump(): void {
    const { windowMax, isPaced, qos } = this.#options;
    while (!this.#socket.writableNeedDrain) {
      const room = Math.min(windowMax - this.#inFlight, this.#allowance, this.#ring.length - this.#next);
      if (room <= 0) return;
      if (isPaced) this.#ring.stamp(this.#next, room, nowUs());
      this.#inFlight += room;
      this.#allowance -= room;
      this.#socket.write(this.#ring.slice(this.#next, room));
      this.#next = (this.#next + room) % this.#ring.length;
      if (qos === 0) this.#countUnpinged(room);
    }
  }

  #countUnpinged(count: number): void {
    this.#unpinged += count;
    if (this.#unpinged * 2 >= this.#options.windowMax) this.#ping();
  }

  #ping(): void {
    this.#pinged.push(this.#unpinged);
    this.#unpinged = 0;
    this.#socket.write(PINGREQ);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at < bytes.length) {
      const type = bytes[at];
      const length = type === PUBACK ? PUBACK_BYTES : PINGRESP_BYTES;
      if (type !== PUBACK && type !== PINGRESP) {
        this.#onFailure(new Error(`not an answer to a publisher: ${bytes.toString("hex", at, at + PUBACK_BYTES)}`));
        return;
      }
      if (at + length > bytes.length) break;
      this.#answered(type === PUBACK ? 1 : (this.#pinged.shift() ?? 0));
      at += length;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
    this.#pump();
  }

  #answered(count: number): void {
    this.#inFlight -= count;
    this.ackedCount += count;
  }
}
