/**
 * Programs that run on the JVM: fetched and compiled by Maven once for each state of their sources, into a directory
 * that later runs, also without a network, find as it is.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const SOURCES = fileURLToPath(new URL("../interop/clients/java/", import.meta.url));
const CACHE = fileURLToPath(new URL("../../node_modules/.cache/interop/", import.meta.url));
/** The first time it fetches its plug-ins too. */
const BUILD_MS_MAX = 300_000;
/** A short life: the first compiler is enough, and the classes of the JDK come ready-made. */
const JVM_FLAGS = ["-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx256m", "-XX:+UseSerialGC"];
/** What a library logs below a warning is no news to a test. */
const LOG_FLAGS = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"];

/** The last of the third generation, which many applications still bring, and the newest. */
export const javaClientVersions = ["3.9.2", "4.4.0"] as const;

export type Launch = { readonly command: string; readonly args: readonly string[] };

/** The driver of test/interop/clients/java, compiled against this version of kafka-clients. */
export async function javaDriver(version: (typeof javaClientVersions)[number]): Promise<Launch> {
  const goals = ["compiler:compile", "jar:jar", "dependency:copy-dependencies"];
  const built = await build({ name: `java-${version}`, project: "driver", goals, kafkaVersion: version });
  return javaProgram([path.join(built, "main.jar"), path.join(built, "lib", "*")], "driver.Main");
}

/** One of Kafka's own tools, by the name of its class. */
export async function kafkaTool(mainClass: string): Promise<Launch> {
  const built = await build({ name: "java-tools", project: "tools", goals: ["dependency:copy-dependencies"] });
  return javaProgram([path.join(built, "lib", "*")], mainClass);
}

function javaProgram(classPath: readonly string[], mainClass: string): Launch {
  return { command: "java", args: [...JVM_FLAGS, ...LOG_FLAGS, "-cp", classPath.join(path.delimiter), mainClass] };
}

type Build = {
  readonly name: string;
  readonly project: string;
  readonly goals: readonly string[];
  /** Otherwise the one of the pom. */
  readonly kafkaVersion?: string;
};

const builds = new Map<string, Promise<string>>();

/** Within one process only once; processes that build the same at the same time do so beside one another. */
function build(options: Build): Promise<string> {
  const known = builds.get(options.name) ?? findOrBuild(options);
  builds.set(options.name, known);
  return known;
}

async function findOrBuild({ name, project, goals, kafkaVersion }: Build): Promise<string> {
  const sources = path.join(SOURCES, project);
  const built = `${name}-${digestOf(sources, kafkaVersion ?? "")}`;
  mkdirSync(CACHE, { recursive: true });
  const entries = readdirSync(CACHE);
  if (entries.includes(built)) return path.join(CACHE, built);

  const output = mkdtempSync(path.join(CACHE, "building-"));
  const version = kafkaVersion === undefined ? [] : [`-Dkafka.version=${kafkaVersion}`];
  try {
    await maven(["-f", path.join(sources, "pom.xml"), `-Doutput=${output}`, ...version, ...goals]);
    // What is there under its name is complete. Another process may have been faster.
    if (!readdirSync(CACHE).includes(built)) renameSync(output, path.join(CACHE, built));
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
  for (const entry of entries) {
    if (entry.startsWith(`${name}-`)) rmSync(path.join(CACHE, entry), { recursive: true, force: true });
  }
  return path.join(CACHE, built);
}

function digestOf(directory: string, version: string): string {
  const hash = createHash("sha256").update(version);
  const files = globSync("**/*.{java,xml}", { cwd: directory }).toSorted();
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(path.join(directory, file)));
  return hash.digest("hex").slice(0, 12);
}

async function maven(args: readonly string[]): Promise<void> {
  try {
    await run("mvn", ["--quiet", "--batch-mode", ...args], { timeout: BUILD_MS_MAX });
  } catch (cause) {
    const { stdout = "", stderr = "" } = cause as { stdout?: string; stderr?: string };
    throw new Error(
      `mvn ${args.join(" ")} failed; a JDK (17 or newer) and Maven must be installed\n${stdout}${stderr}`,
      {
        cause,
      },
    );
  }
}
