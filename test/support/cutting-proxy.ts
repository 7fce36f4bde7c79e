/**
 * A network between Kafka clients and a hub that cuts connections within requests of one kind and their answers, one further
 * byte (or `stride` bytes) at each cut, until every point has been cut at:
 *
 *   request  0 ▸ cut before its first byte … L ▸ all of it has arrived, the answer never leaves
 *   answer   1 ▸ cut after its first byte  … R-1
 *
 * Then it only passes on. What had been passed on before a cut has arrived.
 */
import { createServer, connect } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { FrameReader } from "../../hub/kafka/frame-reader.ts";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

const PRODUCE_KEY = 0;
const LENGTH_BYTES = 4;
const FRAME_BYTES_MAX = 64 * 1024 * 1024;

export type CuttingProxyOptions = {
  readonly targetPort: number;
  readonly port: number;
  /** Bytes between two cuts. */
  readonly stride: number;
  /** False: only requests are cut. */
  readonly cutsAnswers: boolean;
  /** Of the requests that are cut; Produce unless said otherwise. */
  readonly apiKey?: number;
};

export class CuttingProxy {
  readonly #targetPort: number;
  readonly #stride: number;
  readonly #cutsAnswers: boolean;
  readonly #apiKey: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Where the next cut is. */
  #cut: { readonly side: "request" | "answer" | "none"; readonly at: number } = { side: "none", at: 0 };
  requestCuts = 0;
  answerCuts = 0;

  private constructor({ targetPort, stride, cutsAnswers, apiKey = PRODUCE_KEY }: CuttingProxyOptions) {
    this.#targetPort = targetPort;
    this.#stride = stride;
    this.#cutsAnswers = cutsAnswers;
    this.#apiKey = apiKey;
    this.#server = createServer((client) => this.#join(client));
  }

  static async start(t: After, options: CuttingProxyOptions): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(options);
    await new Promise<void>((resolve) => proxy.#server.listen(options.port, "127.0.0.1", resolve));
    onCleanUp(t, () => proxy.close());
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get isThrough(): boolean {
    return this.#cut.side === "none" && this.requestCuts > 0;
  }

  begin(): void {
    this.#cut = { side: "request", at: 0 };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(client: Socket): void {
    const hub = connect({ host: "127.0.0.1", port: this.#targetPort });
    const pair = [client, hub] as const;
    const end = (): void => {
      for (const socket of pair) socket.destroy();
    };
    for (const socket of pair) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", end);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        end();
      });
    }
    /** Correlation ids of such requests whose answers are to be cut. */
    const awaited = new Set<number>();
    const cutHere = (): void => {
      // The hub reads what it got, then sees the end; the client sees a reset.
      hub.end();
      client.resetAndDestroy();
    };
    passFrames(client, (frame, whole) => {
      const isMeant = frame.readInt16BE(0) === this.#apiKey;
      if (isMeant && this.#cut.side === "request") {
        const { at } = this.#cut;
        if (at <= whole.length) {
          this.#cut = { side: "request", at: at === whole.length ? at + 1 : Math.min(at + this.#stride, whole.length) };
          this.requestCuts++;
          hub.write(whole.subarray(0, at), cutHere);
          return false;
        }
        this.#cut = this.#cutsAnswers ? { side: "answer", at: 1 } : { side: "none", at: 0 };
      }
      if (isMeant && this.#cut.side === "answer") awaited.add(frame.readInt32BE(4));
      hub.write(whole);
      return true;
    });
    passFrames(hub, (frame, whole) => {
      if (this.#cut.side === "answer" && awaited.delete(frame.readInt32BE(0))) {
        const { at } = this.#cut;
        if (at < whole.length) {
          this.#cut = { side: "answer", at: at + this.#stride };
          this.answerCuts++;
          client.write(whole.subarray(0, at), cutHere);
          return false;
        }
        this.#cut = { side: "none", at: 0 };
      }
      client.write(whole);
      return true;
    });
  }
}

/** Calls `pass` with each frame, without and with its length, until it returns false. */
function passFrames(source: Socket, pass: (frame: Buffer, whole: Buffer) => boolean): void {
  const reader = new FrameReader(FRAME_BYTES_MAX);
  let isPassing = true;
  source.on("data", (chunk: Buffer) => {
    if (!isPassing) return;
    reader.push(chunk);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
      const whole = Buffer.allocUnsafe(LENGTH_BYTES + frame.length);
      whole.writeInt32BE(frame.length, 0);
      frame.copy(whole, LENGTH_BYTES);
      isPassing = pass(frame, whole);
      if (!isPassing) return;
    }
  });
}
