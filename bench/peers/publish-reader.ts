/**
 * Cuts what a broker sends to a subscriber into packets:
 *
 *   PUBLISH   0x3f:u8   remaining length:varint   topic length:u16   topic   [packet id:u16 at QoS 1]   payload
 *
 * CONNACK and SUBACK come once; everything else is skipped.
 */
const PUBLISH_TYPE = 3;
const SUBACK_TYPE = 9;
const QOS_MASK = 0x06;
const VARINT_BYTES_MAX = 4;

export class PublishReader {
  readonly #events: { readonly onPublish: (payload: Buffer) => void; readonly onSubscribed: () => void };
  #rest: Buffer = Buffer.alloc(0);

  constructor(events: { readonly onPublish: (payload: Buffer) => void; readonly onSubscribed: () => void }) {
    this.#events = events;
  }

  /** Returns the packet identifiers that want an answer. */
  read(chunk: Buffer): readonly number[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const packetIds: number[] = [];
    let at = 0;
    for (;;) {
      const head = decodeHead(bytes, at);
      if (head === undefined || head.bodyAt + head.length > bytes.length) break;
      const first = bytes[at] ?? 0;
      if (first >> 4 === SUBACK_TYPE) this.#events.onSubscribed();
      if (first >> 4 === PUBLISH_TYPE) {
        let payloadAt = head.bodyAt + 2 + bytes.readUInt16BE(head.bodyAt);
        if ((first & QOS_MASK) !== 0) {
          packetIds.push(bytes.readUInt16BE(payloadAt));
          payloadAt += 2;
        }
        this.#events.onPublish(bytes.subarray(payloadAt, head.bodyAt + head.length));
      }
      at = head.bodyAt + head.length;
    }
    this.#rest = bytes.subarray(at);
    return packetIds;
  }
}

/** Undefined when the head is not all there. */
function decodeHead(bytes: Buffer, at: number): { readonly bodyAt: number; readonly length: number } | undefined {
  let length = 0;
  for (let index = 0; index < VARINT_BYTES_MAX; index++) {
    const byte = bytes[at + 1 + index];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) << (7 * index);
    if (byte < 0x80) return { bodyAt: at + 2 + index, length };
  }
  throw new Error(`not an MQTT packet: ${bytes.toString("hex", at, at + 8)}`);
}
