/**
 * The sender's half of the MQTT session: which packet identifiers are on their way and how far each has got. It outlives
 * connections, and that is what makes QoS 2 exact [MQTT-4.4.0-1].
 *
 *   QoS 1   published ──PUBACK──▶ done
 *   QoS 2   published ──PUBREC──▶ released ──PUBCOMP──▶ done
 *
 * After a new connection everything is sent again in the order of its first sending [MQTT-4.6.0-1]: PUBLISH with DUP what
 * is published, PUBREL what is released.
 */
import type { PublishHistory } from "./publish-history.ts";

export type InFlightPhase = "published" | "released";
export type InFlightMessage = {
  readonly packetId: number;
  readonly sequence: number;
  /** Of the first sending: a repetition is the same message to the byte. */
  readonly sentAtUs: number;
  readonly phase: InFlightPhase;
};

const PACKET_ID_MAX = 65_535;

export class InFlight {
  readonly #history: PublishHistory;
  /** By packet identifier, in the order of the first sending. */
  readonly #messages = new Map<number, Omit<InFlightMessage, "phase"> & { phase: InFlightPhase }>();
  #lastPacketId = 0;

  constructor(history: PublishHistory) {
    this.#history = history;
  }

  get size(): number {
    return this.#messages.size;
  }

  /** A new message: its identifier and sequence. */
  publish(sentAtUs: number): InFlightMessage {
    const packetId = this.#freePacketId();
    const message = { packetId, sequence: this.#history.send(), sentAtUs, phase: "published" } as const;
    this.#messages.set(packetId, { ...message });
    return message;
  }

  puback(packetId: number): void {
    this.#history.acknowledge(this.#expect(packetId, 1, "PUBACK").sequence);
    this.#messages.delete(packetId);
  }

  /** PUBREL is the answer, also to one that comes a second time. */
  pubrec(packetId: number): void {
    const message = this.#expect(packetId, 2, "PUBREC");
    this.#history.acknowledge(message.sequence);
    message.phase = "released";
  }

  pubcomp(packetId: number): void {
    const { phase } = this.#expect(packetId, 2, "PUBCOMP");
    if (phase !== "released") throw new Error(`PUBCOMP of ${packetId} before its PUBREC`);
    this.#messages.delete(packetId);
  }

  /** What a new connection begins with; the messages among it count as sent again. */
  resume(): InFlightMessage[] {
    const again = [...this.#messages.values()].map((message) => ({ ...message }));
    for (const { sequence, phase } of again) {
      if (phase === "published") this.#history.resend(sequence);
    }
    return again;
  }

  #expect(packetId: number, qos: 1 | 2, packet: string) {
    const message = this.#messages.get(packetId);
    if (message === undefined || this.#history.qos !== qos) {
      throw new Error(`${this.#history.client} got ${packet} of ${packetId}, which it does not wait for`);
    }
    return message;
  }

  #freePacketId(): number {
    if (this.#messages.size >= PACKET_ID_MAX) throw new Error("every packet identifier is in use");
    do {
      this.#lastPacketId = (this.#lastPacketId % PACKET_ID_MAX) + 1;
    } while (this.#messages.has(this.#lastPacketId));
    return this.#lastPacketId;
  }
}
