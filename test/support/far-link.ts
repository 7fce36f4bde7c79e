/**
 * A link of so many bytes a second towards the target that every byte is under way on for a while, in either direction. What it
 * carries when it breaks is lost.
 *
 *   source ─▶ waits for its turn ─bytesPerSecond─▶ in the air ─delayMs─▶ target
 *   source ◀───────────────────────delayMs─ in the air ◀──────────────── target
 */
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

const TICK_MS = 5;
/** What waits for its turn; beyond it nothing more is taken. */
const LINK_BYTES_MAX = 16 * 1024;

export type FarLinkOptions = {
  readonly targetPort: number;
  readonly bytesPerSecond: number;
  /** One way. */
  readonly delayMs: number;
  /** How many bytes towards the target a connection lasts, by its number from 0 on. */
  readonly lastsBytes: (connection: number) => number;
};

export class FarLink {
  readonly #options: FarLinkOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  connections = 0;
  /** Towards the target, whether they arrived or not. */
  carriedBytes = 0;

  private constructor(options: FarLinkOptions) {
    this.#options = options;
    this.#server = createServer((source) => this.#join(source));
  }

  static async open(t: After, options: FarLinkOptions): Promise<FarLink> {
    const link = new FarLink(options);
    await new Promise<void>((resolve) => link.#server.listen(0, "127.0.0.1", resolve));
    onCleanUp(t, () => {
      link.break();
      link.#server.close();
    });
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends every connection; new ones are taken. */
  break(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(source: Socket): void {
    const { targetPort, bytesPerSecond, delayMs, lastsBytes } = this.#options;
    let leftBytes = lastsBytes(this.connections++);
    const target = connect(targetPort, "127.0.0.1");
    const timers = new Set<NodeJS.Timeout>();
    const later = (ms: number, work: () => void): void => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        work();
      }, ms);
      timers.add(timer);
    };
    let waiting = Buffer.alloc(0);
    let carriedAt = performance.now();
    const carry = (): void => {
      const now = performance.now();
      const turn = waiting.subarray(0, Math.min(leftBytes, Math.floor(((now - carriedAt) * bytesPerSecond) / 1000)));
      carriedAt = now;
      waiting = waiting.subarray(turn.length);
      this.carriedBytes += turn.length;
      leftBytes -= turn.length;
      if (leftBytes === 0) source.destroy();
      if (turn.length > 0) later(delayMs, () => target.write(turn));
      if (waiting.length <= LINK_BYTES_MAX) source.resume();
    };
    const ticks = setInterval(carry, TICK_MS);
    source.on("data", (bytes: Buffer) => {
      waiting = Buffer.concat([waiting, bytes]);
      if (waiting.length > LINK_BYTES_MAX) source.pause();
    });
    target.on("data", (bytes: Buffer) => later(delayMs, () => source.write(bytes)));
    const ends = [source, target];
    for (const end of ends) {
      this.#sockets.add(end);
      end.on("error", () => undefined);
      end.on("close", () => {
        clearInterval(ticks);
        for (const timer of timers) clearTimeout(timer);
        this.#sockets.delete(end);
        for (const other of ends) other.destroy();
      });
    }
  }
}
