/**
 * The order in which one group's requests are worked on: first come, first served.
 *
 *   membership events (exclusive)   one at a time, each after all that came before it
 *   offset commits (shared)         with each other, so that the disk can take the commits of many members in one flush
 *
 *   commit commit commit | sync | commit commit | leave | …        work on each side of a bar never overlaps
 *
 * So a commit is judged by the membership it met, and a rebalance begins only when the commits before it are on disk:
 * the next owner of a partition starts where the former one ended.
 */
import { invariant } from "../../shared/invariant.ts";

type Access = "exclusive" | "shared";
type Work = () => void | Promise<void>;

export class GroupQueue {
  readonly #waiting: { readonly access: Access; readonly work: Work }[] = [];
  readonly #onIdle: () => void;
  #running = 0;
  #isExclusive = false;
  #isDraining = false;

  /** @param onIdle called whenever the last work has ended and none waits. */
  constructor(onIdle: () => void) {
    this.#onIdle = onIdle;
  }

  get length(): number {
    return this.#waiting.length;
  }

  get isIdle(): boolean {
    return this.#running === 0 && this.#waiting.length === 0 && !this.#isDraining;
  }

  /**
   * Runs `work` when its turn comes: at once, before this returns, when nothing is in its way. Work handles its own
   * operating errors; what it throws beyond them is a programmer's error and ends the process.
   */
  run(access: Access, work: Work): void {
    this.#waiting.push({ access, work });
    this.#drain();
  }

  #drain(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    try {
      for (let next = this.#takeNext(); next !== undefined; next = this.#takeNext()) {
        const running = next.work();
        if (running !== undefined) void this.#await(running, next.access);
      }
    } finally {
      this.#isDraining = false;
    }
    if (this.isIdle) this.#onIdle();
  }

  #takeNext() {
    const next = this.#waiting[0];
    if (next === undefined || this.#isExclusive) return undefined;
    if (next.access === "exclusive" && this.#running > 0) return undefined;
    return this.#waiting.shift();
  }

  async #await(running: Promise<void>, access: Access): Promise<void> {
    this.#running += 1;
    this.#isExclusive = access === "exclusive";
    await running;
    this.#running -= 1;
    invariant(this.#running >= 0, "work ends as often as it begins");
    this.#isExclusive = false;
    this.#drain();
  }
}
