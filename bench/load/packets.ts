/**
 * The packets of a publisher, made before they are needed: a ring of PUBLISH packets of one length, one behind another,
 * so that a window of them is one write of one slice.
 *
 *   [PUBLISH id 1][PUBLISH id 2] … [PUBLISH id n]          QoS 0: no ids
 *
 * A packet is used again only when the ring is through. Their payloads differ, as those of a sensor do, so that no codec
 * gains more from the ring than from fresh messages: a batch is far shorter than the rings of all clients together.
 */
import mqttPacket from "mqtt-packet";
import { encodePayload, payloadTemplate, SENT_AT_DIGITS, writeDigits } from "../../test/support/payload.ts";

export type RingOptions = {
  readonly clientId: string;
  readonly topic: string;
  readonly qos: 0 | 1;
  readonly payloadBytes: number;
  /** Packets; at most 65,535, the packet identifiers that MQTT has. */
  readonly length: number;
};

/** Of a sensor that sends once a second, as its payloads say it where nobody stamps them. */
const STEP_US = 1_000_000;
const START_US = 1_732_320_000_000_000;

export class PacketRing {
  readonly length: number;
  readonly packetBytes: number;
  readonly bytes: Buffer;
  readonly #sentAtAt: number;

  constructor({ clientId, topic, qos, payloadBytes, length }: RingOptions) {
    const template = payloadTemplate(clientId, payloadBytes);
    const packets = Array.from({ length }, (_, index) => {
      // No sensor keeps to the microsecond: six digits that no codec can guess.
      const sentAtUs = START_US + index * STEP_US + Math.floor(Math.random() * STEP_US);
      const payload = encodePayload(template, index, sentAtUs);
      const identity = qos === 0 ? {} : { messageId: index + 1 };
      return mqttPacket.generate({ cmd: "publish", topic, payload, qos, dup: false, retain: false, ...identity });
    });
    this.length = length;
    this.bytes = Buffer.concat(packets);
    this.packetBytes = this.bytes.length / length;
    this.#sentAtAt = this.packetBytes - payloadBytes + template.sentAtAt;
  }

  /** Writes the time into `count` packets from `index` on; they do not go round the end. */
  stamp(index: number, count: number, nowUs: number): void {
    for (let at = index; at < index + count; at++) {
      const digitsAt = at * this.packetBytes + this.#sentAtAt;
      writeDigits(this.bytes, { at: digitsAt, digits: SENT_AT_DIGITS, value: nowUs });
    }
  }

  slice(index: number, count: number): Buffer {
    return this.bytes.subarray(index * this.packetBytes, (index + count) * this.packetBytes);
  }
}
