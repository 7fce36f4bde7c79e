/** Results as tables: for each row of the benchmark one, contenders down, metrics across. */
import { right } from "../../bin/table.ts";
import type { Column } from "../../bin/table.ts";
import { median, OURS, ratio, valuesOf } from "./results.ts";
import type { Metric, Results } from "./results.ts";

export type Table = { readonly columns: readonly Column[]; readonly rows: readonly (readonly string[])[] };

export function formatNumber(value: number, digits = 0): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** "12,300 (11,900–12,800) ×2.10": median, spread, and ours to the peer's in the peer's row. */
function cell(results: Results, row: string, contender: string, metric: Metric): string {
  const values = valuesOf(results, row, contender, metric.key);
  if (values.length === 0) return "–";
  const format = (value: number): string => formatNumber(value, metric.digits);
  const spread = values.length === 1 ? "" : ` (${format(Math.min(...values))}–${format(Math.max(...values))})`;
  const ours = contender === OURS ? Number.NaN : ratio(results, row, contender, metric.key);
  return `${format(median(values))}${spread}${Number.isNaN(ours) ? "" : ` ×${formatNumber(ours, 2)}`}`;
}

export function tableOf(results: Results, row: string): Table {
  const present = results.contenders.filter(({ name }) =>
    results.runs.some((run) => run.row === row && run.contender === name),
  );
  return {
    columns: [{ title: row }, ...results.metrics.map(({ title }) => right(title))],
    rows: present.map(({ name }) => [name, ...results.metrics.map((metric) => cell(results, row, name, metric))]),
  };
}
