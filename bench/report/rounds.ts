/** Runs a benchmark: rows, rounds and contenders in turn; prints each measurement as it comes, and the tables at the end. */
import { cpus, release, totalmem } from "node:os";
import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { renderTable } from "../../bin/table.ts";
import { formatNumber, tableOf } from "./tables.ts";
import { resultsFile, rowsOf } from "./results.ts";
import type { Metric, Results, Run, Values } from "./results.ts";

/** A file a benchmark: what bench:guard compares with, and what docs/performance.md is made of. */
const RECORDED = fileURLToPath(new URL("../recorded/", import.meta.url));
const GIB = 1024 ** 3;

export type Settings = { readonly rounds: number; readonly seconds: number };

export type Benchmark<Contender, Row> = {
  readonly name: string;
  readonly claim: string;
  readonly metrics: readonly Metric[];
  readonly contenders: readonly Contender[];
  readonly rows: readonly Row[];
  /** Returns undefined where the contender does not take part in the row. */
  readonly measure: (contender: Contender, row: Row, settings: Settings) => Promise<Values | undefined>;
  readonly defaults: Settings;
};

type Named = { readonly name: string; readonly version: string; readonly durability: string };

/**
 * Options of every benchmark: `--rounds`, `--seconds` of each measurement, `--rows` and `--contenders` (those whose names
 * contain one of these, divided by semicolons), `--record` (keeps the results for bench:guard and docs/performance.md),
 * `--out FILE` (keeps them there), `--help`.
 */
export async function runBenchmark<Contender extends Named, Row extends { readonly name: string }>(
  benchmark: Benchmark<Contender, Row>,
): Promise<void> {
  const { name, claim, metrics, defaults } = benchmark;
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: String(defaults.rounds) },
      seconds: { type: "string", default: String(defaults.seconds) },
      rows: { type: "string", default: "" },
      contenders: { type: "string", default: "" },
      record: { type: "boolean", default: false },
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return void process.stdout.write(helpOf(benchmark));
  const settings = { rounds: Number(values.rounds), seconds: Number(values.seconds) };
  const contenders = chosen(benchmark.contenders, values.contenders);
  const rows = chosen(benchmark.rows, values.rows);
  const runs: Run[] = [];
  for (const row of rows) {
    for (let round = 1; round <= settings.rounds; round++) {
      for (const contender of contenders) {
        const measured = await benchmark.measure(contender, row, settings);
        if (measured === undefined) continue;
        runs.push({ row: row.name, round, contender: contender.name, values: measured });
        process.stderr.write(`${row.name}, round ${round}, ${contender.name}: ${describe(metrics, measured)}\n`);
      }
    }
  }
  const about = contenders.map((contender) => ({
    name: contender.name,
    version: contender.version,
    durability: contender.durability,
  }));
  const choice = ["rows", "contenders"].flatMap((option) => {
    const names = values[option as "rows" | "contenders"];
    return names === "" ? [] : [` --${option} ${JSON.stringify(names)}`];
  });
  const command = `node bench/${name}.ts --rounds ${settings.rounds} --seconds ${settings.seconds}${choice.join("")}`;
  const results: Results = {
    name,
    claim,
    command,
    date: today(),
    machine: machine(),
    contenders: about,
    metrics,
    runs,
  };
  print(results);
  if (values.record) mkdirSync(RECORDED, { recursive: true });
  const files = [values.out, values.record ? `${RECORDED}${name}.json` : undefined];
  for (const file of files) if (file !== undefined) writeFileSync(file, resultsFile(results));
}

type HelpParts = Omit<Benchmark<Named, { readonly name: string }>, "measure" | "metrics">;

function helpOf({ name, claim, contenders, rows, defaults }: HelpParts): string {
  const list = (items: readonly { readonly name: string }[]): string =>
    items.map((each) => `  ${each.name}\n`).join("");
  return `Usage: node bench/${name}.ts [options]

${claim}

Options:
  --rounds <count>       measurements of each row and contender (default: ${defaults.rounds})
  --seconds <count>      of each measurement (default: ${defaults.seconds})
  --rows <names>         only rows whose names contain one of these, divided by semicolons
  --contenders <names>   only contenders whose names contain one of these, divided by semicolons
  --record               keep the results for bench:guard and docs/performance.md
  --out <file>           keep the results there

Rows:
${list(rows)}
Contenders:
${list(contenders)}`;
}

function chosen<Item extends { readonly name: string }>(items: readonly Item[], names: string): readonly Item[] {
  const wanted = names.split(";").filter((part) => part !== "");
  const found = wanted.length === 0 ? items : items.filter(({ name }) => wanted.some((part) => name.includes(part)));
  if (found.length === 0) throw new Error(`none of ${items.map(({ name }) => name).join(", ")} is called ${names}`);
  return found;
}

function describe(metrics: readonly Metric[], values: Values): string {
  return metrics
    .flatMap(({ key, title, digits }) => {
      const value = values[key];
      return value === undefined ? [] : `${title} ${formatNumber(value, digits)}`;
    })
    .join(", ");
}

function print(results: Results): void {
  const lines = [`${results.claim}\n${results.machine}, ${results.date}`];
  lines.push(...results.contenders.map(({ name, version, durability }) => `${name} (${version}): ${durability}`));
  for (const row of rowsOf(results)) {
    const { columns, rows } = tableOf(results, row);
    lines.push("", ...renderTable(columns, rows));
  }
  lines.push("", "median (least–most of the rounds) ×ours to the peer's, the median of the rounds' ratios");
  process.stdout.write(`${lines.join("\n")}\n`);
}

function machine(): string {
  const processor = cpus()[0]?.model ?? "unknown processor";
  const memory = `${formatNumber(totalmem() / GIB)} GiB`;
  return `${cpus().length} × ${processor}, ${memory}, Linux ${release()}, Node ${process.version}`;
}

function today(): string {
  return new Date().toISOString().slice(0, 10);
}
