/**
 * `npm run bench:guard`: measures what is recorded in bench/recorded/ again, and fails when ours to a peer's has become
 * worse than it was by more than the tolerance, or when something recorded was not measured.
 *
 *   node bench/guard.ts [--only pipeline,ingest] [--rounds 3] [--seconds 3] [--tolerance 0.3] [--idle]
 *
 * Only ratios of runs a moment apart. Processor time and bytes a message are compared always: seen on a busy machine of two
 * cores, they repeat within a quarter. Rates, which wait for the disk, do not repeat within a half there, and are compared
 * with `--idle` only, on a machine that does nothing else.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { renderTable, right } from "../bin/table.ts";
import { compare } from "./report/compare.ts";
import { readRecorded, readResults } from "./report/recorded.ts";
import { rowsOf } from "./report/results.ts";
import type { Results } from "./report/results.ts";
import { formatNumber } from "./report/tables.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "3" },
    idle: { type: "boolean", default: false },
    tolerance: { type: "string", default: "0.3" },
  },
});
const tolerance = Number(values.tolerance);
if (!(tolerance > 0 && tolerance < 1)) throw new Error("--tolerance is a share between 0 and 1");

const directory = mkdtempSync(path.join(tmpdir(), "tributary-guard-"));
try {
  process.exitCode = guard() ? 0 : 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function guard(): boolean {
  const only = values.only.split(",").filter((name) => name !== "");
  const chosen = readRecorded().filter(({ name }) => only.length === 0 || only.includes(name));
  if (chosen.length === 0) throw new Error("nothing of that is recorded in bench/recorded/");
  return chosen.map((recorded) => isAsGood(recorded)).every(Boolean);
}

function isAsGood(recorded: Results): boolean {
  const { changes, missing } = compare(recorded, measureAgain(recorded), { isIdle: values.idle });
  const rows = changes.map(({ row, peer, metric, recorded: before, now, worse }) => {
    const verdict = worse > tolerance ? "WORSE" : "";
    return [row, peer, metric, formatNumber(before, 2), formatNumber(now, 2), verdict];
  });
  const columns = ["row", "peer", "ours to the peer's"].map((title) => ({ title }));
  const table = renderTable([...columns, right("recorded"), right("now"), { title: "" }], rows);
  const lost = missing.map((what) => `NOT MEASURED: ${what}`);
  process.stdout.write(`${recorded.name}\n${[...table, ...lost].join("\n")}\n\n`);
  return missing.length === 0 && changes.every(({ worse }) => worse <= tolerance);
}

function measureAgain(recorded: Results): Results {
  const { name } = recorded;
  const program = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  const out = path.join(directory, `${name}.json`);
  const args = [program, "--rounds", values.rounds, "--seconds", values.seconds, "--out", out];
  args.push("--rows", rowsOf(recorded).join(";"));
  const { status } = spawnSync(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new Error(`${name} ended with ${status}`);
  return readResults(out);
}
