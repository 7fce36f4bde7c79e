/**
 * Cuts what a broker sends to a publisher into packets. Without subscriptions these are only CONNACK, PUBACK, PUBREC and
 * PUBCOMP, each four bytes:
 *
 *   type and flags:u8   remaining length 2:u8   (CONNACK: flags:u8 return code:u8 | packet identifier:u16)
 *
 * A general parser would cost a load generator more than all its other work.
 */
export type Answer = "connack" | "puback" | "pubrec" | "pubcomp";

const PACKET_BYTES = 4;
const answers = new Map<number, Answer>([
  [0x20, "connack"],
  [0x40, "puback"],
  [0x50, "pubrec"],
  [0x70, "pubcomp"],
]);

export class AnswerReader {
  #rest: Buffer = Buffer.alloc(0);

  /** `value`: the packet identifier, or CONNACK's two bytes. @throws on any other packet. */
  read(chunk: Buffer, onAnswer: (answer: Answer, value: number) => void): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (; at + PACKET_BYTES <= bytes.length; at += PACKET_BYTES) {
      const answer = answers.get(bytes[at] ?? 0);
      if (answer === undefined || bytes[at + 1] !== 2) {
        throw new Error(`not an answer to a publisher: ${bytes.toString("hex", at, at + PACKET_BYTES)}`);
      }
      onAnswer(answer, bytes.readUInt16BE(at + 2));
    }
    this.#rest = at === bytes.length ? Buffer.alloc(0) : Buffer.from(bytes.subarray(at));
  }
}
