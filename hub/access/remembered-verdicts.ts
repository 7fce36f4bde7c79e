/** What was worked out about a name once, so that asking again is one look-up; clients choose the names, so it is bounded. */

/** Names remembered; with one more all are forgotten. */
export const VERDICTS_MAX = 10_000;
/** As long as a topic's name can be. Longer ones are worked out each time: the names are what takes memory. */
export const VERDICT_NAME_LENGTH_MAX = 249;

export class RememberedVerdicts {
  readonly #workOut: (name: string) => number;
  readonly #verdicts = new Map<string, number>();

  constructor(workOut: (name: string) => number) {
    this.#workOut = workOut;
  }

  of(name: string): number {
    return this.#verdicts.get(name) ?? this.#learn(name);
  }

  #learn(name: string): number {
    const verdict = this.#workOut(name);
    if (name.length > VERDICT_NAME_LENGTH_MAX) return verdict;
    if (this.#verdicts.size >= VERDICTS_MAX) this.#verdicts.clear();
    this.#verdicts.set(name, verdict);
    return verdict;
  }
}
