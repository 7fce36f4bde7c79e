/** Which damage was told of since the start: a batch that is read over and over is told of once. */
import type { Offset } from "../ids.ts";

/** Told of at the most: a disk with more than this has told enough, and would fill the program's own log. */
export const DAMAGE_REPORTS_MAX = 1000;

export class DamageReports {
  readonly #told = new Set<string>();

  isNews(partitionId: number, from: Offset): boolean {
    const key = `${partitionId}:${from}`;
    if (this.#told.has(key) || this.#told.size >= DAMAGE_REPORTS_MAX) return false;
    this.#told.add(key);
    return true;
  }
}
