/**
 * Lanes that may have something to send. The highest priority goes first as long as it has anything; lanes of the same
 * priority take turns, one batch each.
 */
import type { Lane } from "./lane.ts";

export class ReadyLanes {
  /** By priority; in each, the longest waiting lane first. */
  readonly #waiting = new Map<number, Set<Lane>>();
  /** Highest first. */
  #priorities: number[] = [];

  add(lane: Lane): void {
    const waiting = this.#waiting.get(lane.priority);
    if (waiting !== undefined) {
      waiting.add(lane);
      return;
    }
    this.#waiting.set(lane.priority, new Set([lane]));
    this.#priorities = [...this.#waiting.keys()].toSorted((a, b) => b - a);
  }

  take(): Lane | undefined {
    for (const priority of this.#priorities) {
      const waiting = this.#waiting.get(priority);
      const [first] = waiting ?? [];
      if (first === undefined) continue;
      waiting?.delete(first);
      return first;
    }
    return undefined;
  }

  clear(): void {
    this.#waiting.clear();
    this.#priorities = [];
  }
}
