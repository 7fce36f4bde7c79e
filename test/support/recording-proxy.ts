/** A network that keeps one request of each API, version and length that real clients send through it. */
import { createServer, connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { FrameReader } from "../../hub/kafka/frame-reader.ts";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

const FRAME_BYTES_MAX = 64 * 1024 * 1024;

export type RecordingProxy = { readonly frames: ReadonlyMap<string, Buffer> };

export async function startRecordingProxy(
  t: After,
  { port, targetPort }: { readonly port: number; readonly targetPort: number },
): Promise<RecordingProxy & { readonly port: number }> {
  const frames = new Map<string, Buffer>();
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const hub = connect({ host: "127.0.0.1", port: targetPort });
    const reader = new FrameReader(FRAME_BYTES_MAX);
    client.on("data", (chunk: Buffer) => {
      reader.push(chunk);
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        const key = `${frame.readInt16BE(0)} v${frame.readInt16BE(2)} ${frame.length}`;
        if (!frames.has(key)) frames.set(key, Buffer.from(frame));
      }
      hub.write(chunk);
    });
    hub.on("data", (chunk: Buffer) => client.write(chunk));
    for (const [socket, other] of [
      [client, hub],
      [hub, client],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  onCleanUp(t, async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { frames, port: (server.address() as AddressInfo).port };
}
