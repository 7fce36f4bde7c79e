/**
 * What the interop suites found, one file a client, for the table in docs/kafka-compatibility.md
 * (scripts/compatibility-table.ts).
 */
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const RESULTS_DIRECTORY = fileURLToPath(new URL("../../node_modules/.cache/interop/results/", import.meta.url));

export type FeatureOutcome = { readonly feature: string; readonly outcome: string };

export type ClientResults = {
  readonly client: string;
  readonly version: string;
  readonly outcomes: readonly FeatureOutcome[];
};

const fileOf = (client: string): string => path.join(RESULTS_DIRECTORY, `${client.replaceAll(/[^\w.-]+/g, "-")}.json`);

export function writeResults(results: ClientResults): void {
  mkdirSync(RESULTS_DIRECTORY, { recursive: true });
  writeFileSync(fileOf(results.client), `${JSON.stringify(results, undefined, 2)}\n`);
}

export function forgetResults(client: string): void {
  rmSync(fileOf(client), { force: true });
}

export function readResults(): readonly ClientResults[] {
  return readdirSync(RESULTS_DIRECTORY)
    .toSorted()
    .map((file) => JSON.parse(readFileSync(path.join(RESULTS_DIRECTORY, file), "utf8")) as ClientResults);
}
