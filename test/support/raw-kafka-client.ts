/** A bare socket that speaks Kafka's framing: for what well-behaved clients never do. */
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { FrameReader } from "../../hub/kafka/frame-reader.ts";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

const RESPONSE_BYTES_MAX = 64 * 1024 * 1024;

export class RawKafkaClient {
  readonly socket: Socket;
  /** Resolves when the hub has closed the connection. */
  readonly closed: Promise<void>;
  readonly #reader = new FrameReader(RESPONSE_BYTES_MAX);
  readonly #frames: Buffer[] = [];
  #arrived: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
    // A reset is one of the ways to be closed.
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      this.#reader.push(chunk);
      for (let frame = this.#reader.next(); frame !== undefined; frame = this.#reader.next()) this.#frames.push(frame);
      this.#arrived();
    });
  }

  static async connect(t: After, at: { port: number; host: string }): Promise<RawKafkaClient> {
    const socket = connect(at);
    onCleanUp(t, () => socket.destroy());
    await once(socket, "connect");
    return new RawKafkaClient(socket);
  }

  send(...bodies: readonly Buffer[]): void {
    this.socket.write(
      Buffer.concat(
        bodies.flatMap((body) => {
          const length = Buffer.alloc(4);
          length.writeInt32BE(body.length);
          return [length, body];
        }),
      ),
    );
  }

  /** The next response, without its length. */
  async receive(): Promise<Buffer> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) return frame;
      await new Promise<void>((resolve) => (this.#arrived = resolve));
    }
  }
}
