/**
 * Makes a fresh clone ready and runs a script on Node 24, whatever Node the machine has:
 *
 *   node scripts/setup.mjs ARGUMENTS…       as `node ARGUMENTS…` on Node 24
 *   node scripts/setup.mjs                  only makes ready
 *
 *   1. The dependencies are missing or not those of package-lock.json: `npm ci`, and once more if that fails.
 *   2. Node 24: from the `node` package among the devDependencies, else the machine's own if it is new enough.
 *   3. Run it; its end is ours.
 *
 * Plain JavaScript that Node 14 understands, because this file runs before there is a Node 24. Whatever it says goes to
 * stderr: stdout belongs to what it runs.
 */
import childProcess from "child_process";
import fs from "fs";
import path from "path";
import { fileURLToPath, pathToFileURL } from "url";

export const NODE_MAJOR_MIN = 24;
const RETRY_WAIT_MS = 3000;

const repository = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const isWindows = process.platform === "win32";

/**
 * Whether npm's own record of what it installed has everything that the lock file asks for. npm writes the record last,
 * so an installation that was interrupted has none.
 *
 * @returns {boolean}
 */
export function isInstalled(directory) {
  const wanted = readPackages(path.join(directory, "package-lock.json"));
  const installed = readPackages(path.join(directory, "node_modules", ".package-lock.json"));
  if (wanted === undefined || installed === undefined) return false;
  return Object.entries(wanted).every(([place, { version, integrity, optional, devOptional }]) => {
    // The root itself, and what is only for other platforms.
    if (place === "" || optional || devOptional) return true;
    const found = installed[place];
    return found !== undefined && found.version === version && found.integrity === integrity;
  });
}

function readPackages(file) {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8")).packages;
  } catch {
    // Not there, or cut off: as good as nothing installed.
    return undefined;
  }
}

/** @returns {number} the major version of a Node, 0 if it does not run */
export function nodeMajor(file) {
  const { status, stdout } = childProcess.spawnSync(file, ["--version"], { encoding: "utf8" });
  const match = status === 0 ? /^v(\d+)\./.exec(stdout) : null;
  return match === null ? 0 : Number(match[1]);
}

/** The machine's own programs: npm replaces node_modules, and must not run on a Node that is in there. */
function machinePath() {
  const own = path.join(repository, "node_modules", ".bin");
  return (process.env.PATH || "")
    .split(path.delimiter)
    .filter((directory) => path.resolve(directory) !== own)
    .join(path.delimiter);
}

function npm(args) {
  const { status, error } = childProcess.spawnSync("npm", args, {
    cwd: repository,
    env: { ...process.env, PATH: machinePath() },
    stdio: ["ignore", 2, 2],
    shell: isWindows,
  });
  if (error !== undefined) say(`npm cannot be run: ${error.message}`);
  return status === 0;
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`);
}

function fail(lines) {
  for (const line of lines) say(line);
  process.exit(1);
}

function install() {
  if (isInstalled(repository)) return;
  say("installing the dependencies (npm ci); only the first time and when they change");
  // Development dependencies too, whatever NODE_ENV says: Node 24 is among them.
  const args = ["ci", "--include=dev", "--loglevel=error", "--no-audit", "--no-fund"];
  if (!npm(args)) {
    say("npm ci failed; once more");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_WAIT_MS);
    if (!npm(args)) fail(["npm ci failed twice.", "Look at its messages above; it needs the npm registry once."]);
  }
}

/**
 * The Node to run on. The `node` package brings its program by an install script, which npm leaves out in silence where
 * scripts are switched off (`ignore-scripts`) or not approved; so it is tried, and built once if it is not there.
 */
function findNode() {
  const ownFile = path.join(repository, "node_modules", "node", "bin", isWindows ? "node.exe" : "node");
  if (nodeMajor(ownFile) >= NODE_MAJOR_MIN) return ownFile;
  if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN) return process.execPath;
  say("the `node` package has no program, because its install script did not run; running it now");
  npm(["rebuild", "node", "--ignore-scripts=false", "--loglevel=error"]);
  if (nodeMajor(ownFile) >= NODE_MAJOR_MIN) return ownFile;
  return fail([
    `Node ${NODE_MAJOR_MIN} is needed; this machine has ${process.version}, and the \`node\` package could not bring one.`,
    `Either install Node ${NODE_MAJOR_MIN} or newer (https://nodejs.org), or let npm run that package's script:`,
    "  npm install-scripts approve node && npm rebuild node --ignore-scripts=false",
  ]);
}

function run(node, args) {
  const environment = {
    // TypeScript is stripped of its types once, not by each of some hundred processes of a test run.
    NODE_COMPILE_CACHE: path.join(repository, "node_modules", ".cache", "compile"),
    ...process.env,
    // What the program starts as `node` is the same one.
    PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH || ""}`,
  };
  const child = childProcess.spawn(node, args, { stdio: "inherit", env: environment });
  // A terminal sends Ctrl-C to the whole group, the child included; a second one would make it stop in a hurry.
  process.on("SIGINT", () => process.stdin.isTTY || child.kill("SIGINT"));
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  process.on("SIGHUP", () => child.kill("SIGHUP"));
  child.on("error", (error) => fail([`${node} cannot be run: ${error.message}`]));
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    // End as the child did, so that shells and supervisors see it.
    for (const each of ["SIGINT", "SIGTERM", "SIGHUP"]) process.removeAllListeners(each);
    process.kill(process.pid, signal);
  });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href) {
  install();
  const node = findNode();
  const args = process.argv.slice(2);
  if (args.length > 0) run(node, args);
}
