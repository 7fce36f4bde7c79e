/**
 * The drivers of test/interop/clients/go, built once for each state of their sources, into a directory that later runs,
 * also without a network, find as it is.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const SOURCES = fileURLToPath(new URL("../interop/clients/go/", import.meta.url));
const CACHE = fileURLToPath(new URL("../../node_modules/.cache/interop/", import.meta.url));
const NAME = "go-drivers";
/** The first time it fetches and compiles the libraries too. */
const BUILD_MS_MAX = 300_000;

export type GoLibrary = "franz-go" | "sarama";
const packageOf: Readonly<Record<GoLibrary, string>> = { "franz-go": "franz", sarama: "sarama" };

let drivers: Promise<string> | undefined;

export async function goDriver(library: GoLibrary): Promise<{ command: string; args: readonly string[] }> {
  drivers ??= findOrBuild();
  return { command: path.join(await drivers, packageOf[library]), args: [] };
}

async function findOrBuild(): Promise<string> {
  const built = `${NAME}-${digest()}`;
  mkdirSync(CACHE, { recursive: true });
  const entries = readdirSync(CACHE);
  if (entries.includes(built)) return path.join(CACHE, built);

  const output = mkdtempSync(path.join(CACHE, "building-"));
  try {
    // With a slash at its end, `-o` is a directory.
    await go(["build", "-trimpath", "-mod=readonly", "-o", `${output}/`, "./cmd/..."]);
    // What is there under its name is complete. Another process may have been faster.
    if (!readdirSync(CACHE).includes(built)) renameSync(output, path.join(CACHE, built));
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
  for (const entry of entries) {
    if (entry.startsWith(`${NAME}-`)) rmSync(path.join(CACHE, entry), { recursive: true, force: true });
  }
  return path.join(CACHE, built);
}

function digest(): string {
  const hash = createHash("sha256");
  const files = globSync("**/*.{go,mod,sum}", { cwd: SOURCES }).toSorted();
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(path.join(SOURCES, file)));
  return hash.digest("hex").slice(0, 12);
}

async function go(args: readonly string[]): Promise<void> {
  try {
    await run("go", args, { cwd: SOURCES, timeout: BUILD_MS_MAX });
  } catch (cause) {
    const { stderr = "" } = cause as { stderr?: string };
    throw new Error(`go ${args.join(" ")} failed; Go as new as go.mod says must be installed\n${stderr}`, { cause });
  }
}
