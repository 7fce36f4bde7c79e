/** A peer's server as a child process, ready when it accepts connections. */
import { connect } from "node:net";
import { TestChild } from "../../test/support/child-process.ts";
import type { ChildOptions } from "../../test/support/child-process.ts";
import type { After } from "../../test/support/clean-up.ts";
import { waitUntil } from "../../test/support/wait-until.ts";

const READY_MS_MAX = 30_000;

export async function startPeer(t: After, options: ChildOptions, ports: readonly number[]): Promise<TestChild> {
  const child = await TestChild.start(t, options);
  const isReady = async (): Promise<boolean> => (await Promise.all(ports.map(accepts))).every(Boolean);
  await waitUntil(async () => child.exit !== undefined || (await isReady()), {
    what: `${options.command} to accept on ${ports.join(", ")}`,
    deadlineMs: READY_MS_MAX,
    describe: () => child.describe(),
  });
  if (child.exit !== undefined) throw new Error(`a peer ended at its start: ${child.describe()}`);
  return child;
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
