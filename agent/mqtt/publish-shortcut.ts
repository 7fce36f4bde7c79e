/**
 * The short way of the messages that make the load (plain-publish.ts): past aedes' parser and its handlers, which take
 * most of a message's time, straight to the sink. One of a connection, in front of its parser.
 *
 *   chunk ─▶ in the order of its packets ─┬─ plain PUBLISH ─▶ sink ─▶ on disk ─▶ PUBACKs, those of one turn in one write
 *                                         │                                      └▶ aedes.publish, where somebody here listens
 *                                         └─ all else ─▶ aedes' parser
 *
 * What counts for aedes counts here: a message is under way in `_parsingBatch` until it is answered, so the connection is
 * read no further than before; it refreshes the keep alive; a socket that nobody reads ends by drainTimeoutMs; a failed
 * message ends the connection. Whoever answers a message that took the long way calls `flush` first, so that answers and
 * local copies keep the order of the messages [MQTT-4.6.0-2], [MQTT-4.6.0-6].
 */
import type { Duplex } from "node:stream";
import type { Client } from "aedes";
import { PacketCut } from "./packet-cut.ts";
import { PlainPublishReader } from "./plain-publish.ts";
import type { PublishMessage } from "./publish-sink.ts";

type Done = (error?: Error | null) => void;

/** What aedes 1.2.0 has and its types leave out; its version is pinned. */
export type ShortcutClient = Client & {
  readonly _parser: {
    parse(chunk: Buffer): unknown;
    /** Of packets that came before the CONNACK. */
    readonly _queue: readonly unknown[] | null;
  };
  /** Packets under way. The next chunk is read when there are none. */
  _parsingBatch: number;
  /** One is under way no more. */
  readonly _nextBatch: (error?: Error | null) => void;
  readonly _keepaliveInterval: number;
  readonly _keepaliveTimer: NodeJS.Timeout | null;
  waitForDrain(callback: Done): void;
};

/** A message that goes to local subscribers, as aedes wants it. */
export type LocalMessage = {
  readonly cmd: "publish";
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1;
  readonly retain: false;
  readonly dup: boolean;
  readonly messageId: number | undefined;
};

export type ShortcutPorts = {
  readonly isTopicPlain: (topic: string) => boolean;
  /** Whether somebody here may listen to the topic. */
  readonly isHeard: (topic: string) => boolean;
  readonly toSink: (message: PublishMessage, done: Done) => void;
  /** `done`, held back while the client is over its rate. */
  readonly paced: (done: Done) => Done;
  readonly publish: (message: LocalMessage, done: Done) => void;
};

const PUBACK = 0x40;
const PUBACK_BYTES = 4;

export class PublishShortcut {
  readonly #client: ShortcutClient;
  readonly #socket: Duplex;
  readonly #ports: ShortcutPorts;
  readonly #reader: PlainPublishReader;
  readonly #cut = new PacketCut();
  readonly #parse: (chunk: Buffer) => unknown;
  /** Stored, their PUBACKs not written. */
  #answered: number[] = [];
  /** Of those, what has somebody here to go to. */
  #heard: LocalMessage[] = [];
  readonly #flushInTurn = (): void => this.flush();

  constructor(client: Client, socket: Duplex, ports: ShortcutPorts) {
    this.#client = client as ShortcutClient;
    this.#socket = socket;
    this.#ports = ports;
    this.#reader = new PlainPublishReader(ports.isTopicPlain);
    const parser = this.#client._parser;
    this.#parse = parser.parse.bind(parser);
    parser.parse = (chunk) => this.#read(chunk);
  }

  /** The PUBACKs of all that is stored. */
  flush(): void {
    const answered = this.#answered;
    if (answered.length === 0) return;
    const heard = this.#heard;
    this.#answered = [];
    this.#heard = [];
    const client = this.#client;
    // It comes again with what has no PUBACK.
    if (!client.connected) return;
    if (this.#socket.write(pubacks(answered))) return this.#settle(answered.length, heard);
    client.waitForDrain((error) => {
      if (error == null) this.#settle(answered.length, heard);
      else client._nextBatch(error);
    });
  }

  /** Answered. What local subscribers get stays under way until they have taken it, which holds fast publishers back. */
  #settle(count: number, heard: readonly LocalMessage[]): void {
    // As aedes does after its PUBACKs, so that messages of both ways come in order.
    for (const message of heard) setImmediate(() => this.#ports.publish(message, this.#client._nextBatch));
    this.#release(count - heard.length);
  }

  #release(count: number): void {
    if (count === 0) return;
    const client = this.#client;
    client._parsingBatch -= count - 1;
    client._nextBatch();
  }

  #read(chunk: Buffer): void {
    const client = this.#client;
    let at = 0;
    /** Where begins what aedes has not got. */
    let rest = 0;
    let taken = 0;
    while (at < chunk.length) {
      if (!this.#cut.isBetweenPackets || !this.#reader.read(chunk, at)) {
        at = this.#cut.follow(chunk, at);
        continue;
      }
      if (rest < at) {
        this.#parse(chunk.subarray(rest, at));
        rest = at;
        if (client.closed) break;
      }
      if (!this.#isReady) {
        at = this.#cut.follow(chunk, at);
        continue;
      }
      at = this.#reader.end;
      rest = at;
      // Under way itself until the turn's end: an answer that comes at once must not have the next chunk read in here.
      if (taken++ === 0) client._parsingBatch++;
      this.#take(chunk);
      if (client.closed) break;
    }
    if (taken > 0) {
      if (client._keepaliveInterval > 0) client._keepaliveTimer?.refresh();
      setImmediate(client._nextBatch);
    }
    if (rest < chunk.length && !client.closed) this.#parse(rest === 0 ? chunk : chunk.subarray(rest));
  }

  /** aedes keeps what comes before its CONNACK, and goes through it before anything else. */
  get #isReady(): boolean {
    const client = this.#client as ShortcutClient & { readonly connackSent: boolean };
    return client.connected && client.connackSent && client._parser._queue === null;
  }

  #take(chunk: Buffer): void {
    const { topic, qos, isDup: dup, messageId, payloadAt, end } = this.#reader;
    const client = this.#client;
    const payload = chunk.subarray(payloadAt, end);
    client._parsingBatch++;
    const heard: LocalMessage | undefined = this.#ports.isHeard(topic)
      ? { cmd: "publish", topic, payload, qos, retain: false, dup, messageId }
      : undefined;
    const done: Done =
      messageId === undefined
        ? (error) => this.#unanswered(error, heard)
        : (error) => this.#acknowledge(error, messageId, heard);
    const message = { clientId: client.id, topic, payload, qos, retain: false, dup, messageId };
    this.#ports.toSink(message, this.#ports.paced(done));
  }

  #unanswered(error: Error | null | undefined, heard: LocalMessage | undefined): void {
    if (error != null) this.#client._nextBatch(error);
    else if (heard === undefined) this.#client._nextBatch();
    else this.#ports.publish(heard, this.#client._nextBatch);
  }

  #acknowledge(error: Error | null | undefined, messageId: number, heard: LocalMessage | undefined): void {
    if (error != null) {
      this.#client._nextBatch(error);
      return;
    }
    if (this.#answered.push(messageId) === 1) process.nextTick(this.#flushInTurn);
    if (heard !== undefined) this.#heard.push(heard);
  }
}

function pubacks(messageIds: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(messageIds.length * PUBACK_BYTES);
  let at = 0;
  for (const messageId of messageIds) {
    bytes[at] = PUBACK;
    bytes[at + 1] = 2;
    bytes[at + 2] = messageId >> 8;
    bytes[at + 3] = messageId & 0xff;
    at += PUBACK_BYTES;
  }
  return bytes;
}
