/** Latencies in microseconds, and where half and nearly all of them lie. */

export class Latencies {
  readonly #values: number[] = [];

  add(us: number): void {
    this.#values.push(us);
  }

  /** Forgets the values so far, as those of a warm-up. */
  clear(): void {
    this.#values.length = 0;
  }

  get count(): number {
    return this.#values.length;
  }

  /** The smallest value that at least `share` (0 to 1) of all values do not exceed; NaN when there are none. */
  percentile(share: number): number {
    const sorted = this.#values.toSorted((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
  }
}
