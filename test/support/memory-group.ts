/**
 * A control group of the kernel whose processes share so much memory, page cache included. When it is used up and nothing
 * can be taken back, the kernel ends one of them as kill -9 does. Takes root on Linux; both versions of control groups.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";
import { waitUntil } from "./wait-until.ts";

const ROOT = "/sys/fs/cgroup";
const EMPTY_MS_MAX = 10_000;
let made = 0;

export class MemoryGroup {
  readonly #directory: string;
  readonly #isFirstVersion: boolean;

  private constructor(directory: string, isFirstVersion: boolean) {
    this.#directory = directory;
    this.#isFirstVersion = isFirstVersion;
  }

  /** @throws where this machine does not let one. */
  static make(t: After, bytesMax: number): MemoryGroup {
    const isFirstVersion = existsSync(`${ROOT}/memory/memory.limit_in_bytes`);
    const group = new MemoryGroup(
      path.join(isFirstVersion ? `${ROOT}/memory` : ROOT, `tributary-test-${process.pid}-${made++}`),
      isFirstVersion,
    );
    mkdirSync(group.#directory);
    onCleanUp(t, async () => {
      await waitUntil(() => group.#read("cgroup.procs") === "", {
        what: "the group to be empty",
        deadlineMs: EMPTY_MS_MAX,
      });
      rmdirSync(group.#directory);
    });
    group.#write(isFirstVersion ? "memory.limit_in_bytes" : "memory.max", bytesMax);
    return group;
  }

  /** What a command has to begin with to run in it: memory counts where it is taken. */
  get prefix(): readonly string[] {
    return ["sh", "-c", 'echo $$ > "$0"; exec "$@"', path.join(this.#directory, "cgroup.procs")];
  }

  /** The most that was used at once. */
  get peakBytes(): number {
    return Number(this.#read(this.#isFirstVersion ? "memory.max_usage_in_bytes" : "memory.peak"));
  }

  #read(name: string): string {
    return readFileSync(path.join(this.#directory, name), "utf8").trim();
  }

  #write(name: string, value: number): void {
    writeFileSync(path.join(this.#directory, name), String(value));
  }
}

/** Why this machine has no such group. */
export function obstacleToMemoryGroup(t: After): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "It takes root on Linux";
  try {
    const group = MemoryGroup.make(t, 1024 ** 3);
    return group.peakBytes >= 0 ? undefined : "No account of the memory";
  } catch (error) {
    return `No control group for memory: ${String(error)}`;
  }
}
