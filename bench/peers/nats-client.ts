/**
 * As much of a NATS client as the benchmarks need, over its text protocol:
 *
 *   MSG subject sid [reply] bytes ␍␊ payload ␍␊          HMSG subject sid [reply] header-bytes bytes ␍␊ headers payload ␍␊
 *
 * The payload of a message with headers is what is left after them; a message with headers and nothing else is a status
 * of the server's (no messages, the pull has expired).
 */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { onCleanUp } from "../../test/support/clean-up.ts";
import type { After } from "../../test/support/clean-up.ts";

export type NatsMessage = { readonly reply: string; readonly payload: Buffer; readonly isStatus: boolean };
type OnMessage = (message: NatsMessage) => void;

const LINE_END = Buffer.from("\r\n");
const REQUEST_MS_MAX = 10_000;

export class NatsClient {
  readonly #socket: Socket;
  readonly #subscriptions = new Map<string, OnMessage>();
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    // What waits for an answer runs into its own time limit.
    socket.on("error", () => undefined);
  }

  static async connect(t: After, port: number): Promise<NatsClient> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    onCleanUp(t, () => socket.destroy());
    await once(socket, "connect");
    const client = new NatsClient(socket);
    socket.write('CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n');
    return client;
  }

  subscribe(subject: string, onMessage: OnMessage): void {
    const id = String(this.#subscriptions.size + 1);
    this.#subscriptions.set(id, onMessage);
    this.#socket.write(`SUB ${subject} ${id}\r\n`);
  }

  publish(subject: string, payload: string, reply = ""): void {
    const length = Buffer.byteLength(payload);
    this.#socket.write(`PUB ${subject} ${reply === "" ? "" : `${reply} `}${length}\r\n${payload}\r\n`);
  }

  /** Of JetStream's API. @throws when the server reports an error. */
  async request(subject: string, body: object): Promise<object> {
    const inbox = `_INBOX.${randomUUID()}`;
    const answer = new Promise<NatsMessage>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${subject} was not answered`)), REQUEST_MS_MAX);
      this.subscribe(inbox, (message) => {
        clearTimeout(timer);
        resolve(message);
      });
    });
    this.publish(subject, JSON.stringify(body), inbox);
    const { payload, isStatus } = await answer;
    if (isStatus) throw new Error(`nobody answers to ${subject}`);
    const parsed = JSON.parse(payload.toString()) as { readonly error?: { readonly description: string } };
    if (parsed.error !== undefined) throw new Error(`${subject}: ${parsed.error.description}`);
    return parsed;
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const lineEnd = bytes.indexOf(LINE_END, at);
      if (lineEnd < 0) break;
      const words = bytes.toString("latin1", at, lineEnd).split(" ");
      const bodyAt = lineEnd + LINE_END.length;
      const hasHeaders = words[0] === "HMSG";
      if (hasHeaders || words[0] === "MSG") {
        const length = Number(words.at(-1));
        if (bodyAt + length + LINE_END.length > bytes.length) break;
        const headerLength = hasHeaders ? Number(words.at(-2)) : 0;
        const hasReply = words.length === (hasHeaders ? 6 : 5);
        this.#subscriptions.get(words[2] ?? "")?.({
          reply: hasReply ? (words[3] ?? "") : "",
          payload: bytes.subarray(bodyAt + headerLength, bodyAt + length),
          isStatus: hasHeaders && headerLength === length,
        });
        at = bodyAt + length + LINE_END.length;
        continue;
      }
      if (words[0] === "PING") this.#socket.write("PONG\r\n");
      at = bodyAt;
    }
    this.#rest = bytes.subarray(at);
  }
}
