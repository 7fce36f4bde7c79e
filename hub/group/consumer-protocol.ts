/**
 * What members of protocol type "consumer" say to each other through the coordinator, for which these are opaque bytes.
 * We read them only to see who reads which topic (OffsetDelete) and which partition (lag views).
 *
 *   subscription   version:i16  topics:[string]                              then user data and, by version, more
 *   assignment     version:i16  [topic:string partitions:[i32]]              then user data
 *   string = length:i16 bytes      array = count:i32 elements      big endian, never compact
 *
 * Later versions only append fields, so any version >= 0 is read as far as we know it. Malformed bytes give `undefined`
 * and not an error: they are between the clients, and nothing of ours is broken by them.
 * Source: Kafka's ConsumerProtocolSubscription.json and ConsumerProtocolAssignment.json.
 */
import type { Partition } from "../../shared/ids.ts";

export type Subscription = { readonly version: number; readonly topics: readonly string[] };

export type Assignment = {
  readonly version: number;
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly Partition[] }[];
};

export function parseSubscription(bytes: Buffer): Subscription | undefined {
  const cursor = new Cursor(bytes);
  const version = cursor.int16();
  const topics = cursor.array(2, () => cursor.string());
  return cursor.isBroken || version < 0 ? undefined : { version, topics };
}

/** A member that owns nothing has no bytes at all, or an empty list. */
export function parseAssignment(bytes: Buffer): Assignment | undefined {
  if (bytes.byteLength === 0) return { version: 0, topics: [] };
  const cursor = new Cursor(bytes);
  const version = cursor.int16();
  const topics = cursor.array(6, () => ({
    topic: cursor.string(),
    partitions: cursor.array(4, () => cursor.int32()),
  }));
  return cursor.isBroken || version < 0 ? undefined : { version, topics };
}

/** Reads zeros and empty strings once it is broken, so that a parser needs to look only at the end. */
class Cursor {
  isBroken = false;
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Where the next `count` bytes begin, or undefined, and broken, when there are not as many. */
  #take(count: number): number | undefined {
    if (this.isBroken || count < 0 || this.#at + count > this.#bytes.byteLength) {
      this.isBroken = true;
      return undefined;
    }
    const start = this.#at;
    this.#at += count;
    return start;
  }

  int16(): number {
    const start = this.#take(2);
    return start === undefined ? 0 : this.#bytes.readInt16BE(start);
  }

  int32(): number {
    const start = this.#take(4);
    return start === undefined ? 0 : this.#bytes.readInt32BE(start);
  }

  string(): string {
    const length = this.int16();
    const start = this.#take(length);
    return start === undefined ? "" : this.#bytes.toString("utf8", start, start + length);
  }

  /** `elementBytesMin` bounds the count by the bytes there are, before anything is allocated for it. */
  array<Element>(elementBytesMin: number, element: () => Element): Element[] {
    const count = this.int32();
    if (count < 0 || count * elementBytesMin > this.#bytes.byteLength - this.#at) this.isBroken = true;
    const elements: Element[] = [];
    while (!this.isBroken && elements.length < count) elements.push(element());
    return elements;
  }
}
