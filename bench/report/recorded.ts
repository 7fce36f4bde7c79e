/** The recorded results, as they are in the repository. */
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Results } from "./results.ts";

const DIRECTORY = fileURLToPath(new URL("../recorded/", import.meta.url));

export function readRecorded(): readonly Results[] {
  const files = globSync("*.json", { cwd: DIRECTORY }).toSorted();
  return files.map((file) => readResults(path.join(DIRECTORY, file)));
}

/** Written by report/rounds.ts, in this repository or a moment ago. */
export function readResults(file: string): Results {
  return JSON.parse(readFileSync(file, "utf8")) as Results;
}
