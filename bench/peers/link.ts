/** The link between edge and hub as one that can fail: while it is cut, connections end and new ones are refused. */
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { onCleanUp } from "../../test/support/clean-up.ts";
import type { After } from "../../test/support/clean-up.ts";
import { freePort } from "../../test/support/free-port.ts";

const HOST = "127.0.0.1";

export class Link {
  readonly port: number;
  readonly #hubPort: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  private constructor(port: number, hubPort: number) {
    this.port = port;
    this.#hubPort = hubPort;
  }

  static async open(t: After, hubPort: number): Promise<Link> {
    const link = new Link(await freePort(), hubPort);
    await link.heal();
    onCleanUp(t, () => link.cut());
    return link;
  }

  async heal(): Promise<void> {
    this.#server = createServer((edge) => this.#join(edge)).listen(this.port, HOST);
    await once(this.#server, "listening");
  }

  cut(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(edge: Socket): void {
    const hub = connect({ port: this.#hubPort, host: HOST });
    for (const [socket, other] of [
      [edge, hub],
      [hub, edge],
    ] as const) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.pipe(other);
      // The other side learns of the end, whatever its kind.
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
