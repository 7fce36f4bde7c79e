/**
 * What the publishers of the tests send, so that a consumer knows whose message it is and which one:
 *
 *   c07 0000000123 1732320000123456 xxxxxxxx…
 *   │   │          └ sent at: µs since the Unix epoch, 16 digits
 *   │   └ sequence: how many the client sent before, 10 digits
 *   └ client id, without blanks
 *
 * ASCII of a fixed length for each client, so that a publisher can fill in the numbers without building the rest anew.
 */
export const SEQUENCE_DIGITS = 10;
export const SENT_AT_DIGITS = 16;
const ZERO = 0x30;

export type PayloadIdentity = { readonly client: string; readonly sequence: number; readonly sentAtUs: number };

export type PayloadTemplate = {
  readonly bytes: Buffer;
  /** Where the digits begin. */
  readonly sequenceAt: number;
  readonly sentAtAt: number;
};

/** @throws when `length` is too short for the client's name and the numbers. */
export function payloadTemplate(client: string, length: number): PayloadTemplate {
  const sequenceAt = client.length + 1;
  const sentAtAt = sequenceAt + SEQUENCE_DIGITS + 1;
  const head = `${client} ${"0".repeat(SEQUENCE_DIGITS)} ${"0".repeat(SENT_AT_DIGITS)} `;
  if (head.length > length)
    throw new Error(`a payload of ${client} needs ${head.length} bytes at least, not ${length}`);
  return { bytes: Buffer.from(head.padEnd(length, "x"), "latin1"), sequenceAt, sentAtAt };
}

export function encodePayload(template: PayloadTemplate, sequence: number, sentAtUs: number): Buffer {
  const bytes = Buffer.from(template.bytes);
  writeDigits(bytes, { at: template.sequenceAt, digits: SEQUENCE_DIGITS, value: sequence });
  writeDigits(bytes, { at: template.sentAtAt, digits: SENT_AT_DIGITS, value: sentAtUs });
  return bytes;
}

/** In decimal, with zeros in front. */
export function writeDigits(
  target: Buffer,
  { at, digits, value }: { readonly at: number; readonly digits: number; readonly value: number },
): void {
  let rest = value;
  for (let index = at + digits - 1; index >= at; index--) {
    const next = Math.floor(rest / 10);
    target[index] = ZERO + (rest - next * 10);
    rest = next;
  }
}

/** @throws when `text` is none of ours: a record that nobody published. */
export function decodePayload(text: string): PayloadIdentity {
  const clientEnd = text.indexOf(" ");
  const sequenceAt = clientEnd + 1;
  const sentAtAt = sequenceAt + SEQUENCE_DIGITS + 1;
  const sequence = Number(text.slice(sequenceAt, sequenceAt + SEQUENCE_DIGITS));
  const sentAtUs = Number(text.slice(sentAtAt, sentAtAt + SENT_AT_DIGITS));
  if (clientEnd <= 0 || !Number.isInteger(sequence) || !Number.isInteger(sentAtUs) || sentAtUs === 0) {
    throw new Error(`not a payload of the test's publishers: ${JSON.stringify(text.slice(0, 80))}`);
  }
  return { client: text.slice(0, clientEnd), sequence, sentAtUs };
}

/** For payloads; the only time of the tests that crosses from process to process. */
export function nowUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
