/**
 * A TCP proxy that plays the network between an agent and its hub: it cuts after so many bytes, swallows one direction or
 * both, flips bits, and resets. Faults hold for the connections there are and those to come, until `heal`.
 */
import { createServer, connect } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

/** Up is from the client to the target. */
export type Direction = "up" | "down";

export class TcpProxy {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #swallowed = new Set<Direction>();
  #cutAfterBytes = Infinity;
  #flip: { readonly direction: Direction; readonly everyBytes: number; leftBytes: number } | undefined;
  /** Bits flipped so far. */
  flips = 0;
  /** Connections so far. */
  connections = 0;
  /** Bytes passed on so far, both ways. */
  bytes = 0;

  private constructor(target: { host: string; port: number }) {
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  static async start(t: After, targetPort: number): Promise<TcpProxy> {
    const proxy = new TcpProxy({ host: "127.0.0.1", port: targetPort });
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    onCleanUp(t, () => proxy.close());
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Everything is cut, once, when this many more bytes have passed; the last of them may be in the middle of a frame. */
  cutAfter(bytes: number): void {
    this.#cutAfterBytes = bytes;
    if (bytes === 0) this.reset();
  }

  /** Connections stay open and nothing passes, as when a link dies without a word. */
  partition(): void {
    this.halfOpen("up");
    this.halfOpen("down");
  }

  /** Nothing passes in this direction any more. */
  halfOpen(direction: Direction): void {
    this.#swallowed.add(direction);
  }

  /** One bit in so many bytes of this direction arrives wrong, as behind a broken router: TCP does not notice. */
  flipBits(direction: Direction, everyBytes: number): void {
    this.#flip = { direction, everyBytes, leftBytes: everyBytes };
  }

  heal(): void {
    this.#flip = undefined;
    this.#swallowed.clear();
    this.#cutAfterBytes = Infinity;
  }

  /** Ends every connection at once. */
  reset(): void {
    this.#cutAfterBytes = Infinity;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#sockets.clear();
  }

  async close(): Promise<void> {
    this.reset();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #join(client: Socket): void {
    this.connections++;
    const target = connect(this.#target);
    this.#pass(client, target, "up");
    this.#pass(target, client, "down");
  }

  #damage(bytes: Buffer, direction: Direction): void {
    const flip = this.#flip;
    if (flip?.direction !== direction) return;
    let at = flip.leftBytes;
    for (; at < bytes.length; at += flip.everyBytes) {
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (this.flips % 8));
      this.flips++;
    }
    flip.leftBytes = at - bytes.length;
  }

  #pass(source: Socket, sink: Socket, direction: Direction): void {
    this.#sockets.add(source);
    source.setNoDelay(true);
    source.on("data", (chunk: Buffer) => {
      if (this.#swallowed.has(direction)) return;
      const passed = chunk.subarray(0, this.#cutAfterBytes);
      this.#damage(passed, direction);
      this.bytes += passed.length;
      this.#cutAfterBytes -= passed.length;
      const isLast = this.#cutAfterBytes === 0;
      // What was passed on before the cut arrives.
      sink.write(passed, () => {
        if (isLast) this.reset();
      });
    });
    // The other side learns of the end, whatever its kind.
    source.on("error", () => sink.destroy());
    source.on("close", () => {
      this.#sockets.delete(source);
      sink.destroy();
    });
  }
}
