/** Two addresses of this machine with a bad link between them, inside a lab: see lossy-link.c. */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onCleanUp } from "../../support/clean-up.ts";
import type { After } from "../../support/clean-up.ts";
import { ip } from "./lab.ts";

const SOURCE = fileURLToPath(new URL("./lossy-link.c", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../../../node_modules/.cache/network/lossy-link", import.meta.url));
const FLAGS = ["-std=gnu99", "-Wall", "-Wextra", "-Werror", "-O2"];

const INTERFACE = "lossy0";
const TABLE = "100";
/** Whoever connects to one of them comes from the other. */
export const linkAddresses = ["10.9.0.1", "10.9.0.2"] as const;

export type LinkQuality = { readonly lossPercent: number; readonly delayMs: number };
export type PacketCounts = { readonly passed: number; readonly lost: number };

function build(): string {
  if (existsSync(PROGRAM) && statSync(PROGRAM).mtimeMs > statSync(SOURCE).mtimeMs) return PROGRAM;
  mkdirSync(path.dirname(PROGRAM), { recursive: true });
  const built = `${PROGRAM}.${process.pid}`;
  execFileSync("cc", [...FLAGS, SOURCE, "-o", built], { stdio: ["ignore", "inherit", "inherit"] });
  renameSync(built, PROGRAM);
  return PROGRAM;
}

export class LossyLink {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout === null) throw new Error("has no stdout");
    this.#answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** A good one at first. */
  static async start(t: After, seed: number): Promise<LossyLink> {
    const child = spawn(build(), [INTERFACE, String(seed)], { stdio: ["pipe", "pipe", "inherit"] });
    onCleanUp(t, async () => {
      child.stdin.end();
      if (child.exitCode === null) await once(child, "exit");
    });
    const link = new LossyLink(child);
    await link.#answer();
    layOut();
    return link;
  }

  /** From the next packet on, in each direction. Returns what there has been until now. */
  set({ lossPercent, delayMs }: LinkQuality): Promise<PacketCounts> {
    this.#child.stdin?.write(`${lossPercent} ${delayMs}\n`);
    return this.#answer();
  }

  async #answer(): Promise<PacketCounts> {
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error("lossy-link ended");
    const [passed, lost] = value.split(" ").map(Number);
    return { passed: passed ?? 0, lost: lost ?? 0 };
  }
}

/** What goes from one of the addresses to the other takes the link, although the machine is both of them. */
function layOut(): void {
  const [one, other] = linkAddresses;
  ip("link set lo up");
  for (const address of linkAddresses) ip(`addr add ${address}/32 dev ${INTERFACE}`);
  ip(`link set ${INTERFACE} up mtu 1500`);
  for (const name of ["all", INTERFACE]) {
    // Packets come in from what is this machine's own address.
    writeFileSync(`/proc/sys/net/ipv4/conf/${name}/accept_local`, "1");
    writeFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, "0");
  }
  ip(`route add ${one}/32 dev ${INTERFACE} src ${other} table ${TABLE}`);
  ip(`route add ${other}/32 dev ${INTERFACE} src ${one} table ${TABLE}`);
  // Only what is sent from here ("iif lo"); what arrives is for us, by the table of local addresses.
  for (const address of linkAddresses) ip(`rule add pref 10 iif lo to ${address} lookup ${TABLE}`);
  ip("rule add pref 100 lookup local");
  ip("rule del pref 0");
}
