/**
 * The results of one benchmark, as they are printed, recorded (bench/recorded/NAME.json) and compared. Every contender is
 * measured in every round, one after another (A B C A B C): what the machine did meanwhile hits all of them, and a ratio
 * is that of two measurements of the same round.
 */
export type Metric = {
  readonly key: string;
  readonly title: string;
  readonly digits: number;
  readonly better: "more" | "less";
  /** `npm run bench:guard` fails when ours to a peer's becomes worse than it was recorded. */
  readonly isGuarded?: boolean;
  /** The same, but only where nothing else uses the machine: a rate that waits for the disk is everybody's. */
  readonly isGuardedWhenIdle?: boolean;
};

export type Values = Readonly<Record<string, number>>;

export type Run = {
  readonly row: string;
  readonly round: number;
  readonly contender: string;
  /** By the metric's key; what could not be measured is missing. */
  readonly values: Values;
};

export type Results = {
  /** Of the benchmark, and of its file. */
  readonly name: string;
  readonly claim: string;
  readonly command: string;
  readonly date: string;
  readonly machine: string;
  readonly contenders: readonly { readonly name: string; readonly version: string; readonly durability: string }[];
  readonly metrics: readonly Metric[];
  readonly runs: readonly Run[];
};

export const OURS = "tributary";

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return low === undefined || high === undefined ? Number.NaN : (low + high) / 2;
}

export function valuesOf(
  results: Pick<Results, "runs">,
  row: string,
  contender: string,
  key: string,
): readonly number[] {
  return results.runs
    .filter((run) => run.row === row && run.contender === contender)
    .flatMap(({ values }) => values[key] ?? []);
}

/** Ours to the peer's, the median of all rounds in which both were measured; NaN when there is none. */
export function ratio(results: Pick<Results, "runs">, row: string, peer: string, key: string): number {
  const runs = results.runs.filter((run) => run.row === row);
  const ratios = runs
    .filter(({ contender }) => contender === OURS)
    .flatMap(({ round, values }) => {
      const other = runs.find((run) => run.contender === peer && run.round === round)?.values[key];
      const own = values[key];
      return own === undefined || other === undefined || other === 0 ? [] : own / other;
    });
  return median(ratios);
}

export function rowsOf({ runs }: Pick<Results, "runs">): readonly string[] {
  return [...new Set(runs.map(({ row }) => row))];
}

/** As a file: a measurement a line, so that a new recording can be read as a difference. */
export function resultsFile({ runs, ...about }: Results): string {
  const head = JSON.stringify({ ...about, runs: [] }, undefined, 2);
  const lines = runs.map((run) => `    ${JSON.stringify(run)}`);
  return `${head.replace('"runs": []', `"runs": [\n${lines.join(",\n")}\n  ]`)}\n`;
}
