/** A peer's server as a child process that can be stopped and started again on the same ports and data. */
import { connect } from "node:net";
import { TestChild } from "../../test/support/child-process.ts";
import type { ChildOptions } from "../../test/support/child-process.ts";
import { onCleanUp } from "../../test/support/clean-up.ts";
import type { After } from "../../test/support/clean-up.ts";
import { waitUntil } from "../../test/support/wait-until.ts";

const READY_MS_MAX = 30_000;
const END_MS_MAX = 30_000;

export class PeerServer {
  readonly #options: ChildOptions;
  readonly #ports: readonly number[];
  #child: TestChild | undefined;

  private constructor(options: ChildOptions, ports: readonly number[]) {
    this.#options = options;
    this.#ports = ports;
  }

  /** Returns when it accepts on all of `ports`. */
  static async start(t: After, options: ChildOptions, ports: readonly number[]): Promise<PeerServer> {
    const server = new PeerServer(options, ports);
    onCleanUp(t, () => server.#child?.kill9());
    await server.start();
    return server;
  }

  get process(): TestChild {
    if (this.#child === undefined) throw new Error(`${this.#options.command} was never started`);
    return this.#child;
  }

  async start(): Promise<void> {
    const child = await TestChild.spawn(this.#options);
    this.#child = child;
    const isReady = async (): Promise<boolean> => (await Promise.all(this.#ports.map(accepts))).every(Boolean);
    await waitUntil(async () => child.exit !== undefined || (await isReady()), {
      what: `${this.#options.command} to accept on ${this.#ports.join(", ")}`,
      deadlineMs: READY_MS_MAX,
      describe: () => child.describe(),
    });
    if (child.exit !== undefined) throw new Error(`a peer ended at its start: ${child.describe()}`);
  }

  /** In order, as its makers mean it to end. */
  async stop(): Promise<void> {
    this.process.signal("SIGTERM");
    await this.process.exitWithin(END_MS_MAX);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
