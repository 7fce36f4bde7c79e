/**
 * The drivers of test/interop/clients/python, and their libraries: installed once for each state of requirements.txt
 * into an environment that later runs, also without a network, find as it is.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const SOURCES = fileURLToPath(new URL("../interop/clients/python/", import.meta.url));
const REQUIREMENTS = path.join(SOURCES, "requirements.txt");
const CACHE = fileURLToPath(new URL("../../node_modules/.cache/interop/", import.meta.url));
const NAME = "python";
const INSTALL_MS_MAX = 300_000;

export type PythonLibrary = "librdkafka" | "kafka-python";
const moduleOf: Readonly<Record<PythonLibrary, string>> = {
  librdkafka: "librdkafka_driver.py",
  "kafka-python": "kafka_python_driver.py",
};

let environment: Promise<string> | undefined;

export async function pythonDriver(library: PythonLibrary): Promise<{ command: string; args: readonly string[] }> {
  environment ??= findOrInstall();
  return {
    command: path.join(await environment, "bin", "python"),
    // Nothing of the user's, and no compiled files among the sources.
    args: ["-sB", path.join(SOURCES, moduleOf[library])],
  };
}

async function findOrInstall(): Promise<string> {
  const installed = `${NAME}-${createHash("sha256").update(readFileSync(REQUIREMENTS)).digest("hex").slice(0, 12)}`;
  mkdirSync(CACHE, { recursive: true });
  const entries = readdirSync(CACHE);
  if (entries.includes(installed)) return path.join(CACHE, installed);

  const output = mkdtempSync(path.join(CACHE, "building-"));
  try {
    await python("python3", ["-m", "venv", output]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
    await python(path.join(output, "bin", "python"), [...pip, "-r", REQUIREMENTS]);
    // What is there under its name is complete; its interpreter finds its libraries relative to itself. Another process
    // may have been faster.
    if (!readdirSync(CACHE).includes(installed)) renameSync(output, path.join(CACHE, installed));
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
  for (const entry of entries) {
    if (entry.startsWith(`${NAME}-`)) rmSync(path.join(CACHE, entry), { recursive: true, force: true });
  }
  return path.join(CACHE, installed);
}

async function python(command: string, args: readonly string[]): Promise<void> {
  try {
    await run(command, args, { timeout: INSTALL_MS_MAX });
  } catch (cause) {
    const { stdout = "", stderr = "" } = cause as { stdout?: string; stderr?: string };
    throw new Error(`${args.join(" ")} failed; Python 3.9 or newer with venv must be installed\n${stdout}${stderr}`, {
      cause,
    });
  }
}
