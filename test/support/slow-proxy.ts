/** A link of so many bytes a second towards the target, and as many as they come back. */
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

const TICK_MS = 10;
/** What the link holds; beyond it nothing more is taken. */
const LINK_BYTES_MAX = 16 * 1024;

export type SlowProxy = { readonly port: number };

export async function startSlowProxy(t: After, targetPort: number, bytesPerSecond: number): Promise<SlowProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((source) => {
    const target = connect(targetPort, "127.0.0.1");
    const ends: Socket[] = [source, target];
    let held = Buffer.alloc(0);
    target.on("data", (bytes: Buffer) => source.write(bytes));
    source.on("data", (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      if (held.length > LINK_BYTES_MAX) source.pause();
    });
    const ticks = setInterval(() => {
      const share = Math.ceil((bytesPerSecond * TICK_MS) / 1000);
      if (held.length > 0) target.write(held.subarray(0, share));
      held = held.subarray(share);
      if (held.length <= LINK_BYTES_MAX) source.resume();
    }, TICK_MS);
    for (const end of ends) {
      sockets.add(end);
      end.on("error", () => undefined);
      end.on("close", () => {
        clearInterval(ticks);
        sockets.delete(end);
        for (const other of ends) other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onCleanUp(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port };
}
