import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { NODE_MAJOR_MIN, isInstalled, nodeMajor } from "../../../scripts/setup.mjs";
import { onCleanUp } from "../../support/clean-up.ts";
import { tempDir } from "../../support/temp-dir.ts";

const script = path.join(import.meta.dirname, "../../../scripts/setup.mjs");

/** A folder with a lock file and, unless undefined, npm's record of what is installed. */
function project(t: TestContext, wanted: object, installed: object | string | undefined): string {
  const directory = tempDir(t);
  writeFileSync(path.join(directory, "package-lock.json"), JSON.stringify({ packages: { "": {}, ...wanted } }));
  if (installed === undefined) return directory;
  mkdirSync(path.join(directory, "node_modules"));
  const text = typeof installed === "string" ? installed : JSON.stringify({ packages: installed });
  writeFileSync(path.join(directory, "node_modules", ".package-lock.json"), text);
  return directory;
}

const one = { "node_modules/a": { version: "1.0.0", integrity: "sha512-a" } };

suite("setup", () => {
  test("installed is what npm itself recorded, as the lock file wants it", (t) => {
    assert.equal(isInstalled(project(t, one, one)), true);
    const more = { ...one, "node_modules/b": { version: "1.0.0" } };
    assert.equal(isInstalled(project(t, one, more)), true);
    assert.equal(isInstalled(project(t, more, one)), false);
  });

  test("another version or other contents are not installed", (t) => {
    const newer = { "node_modules/a": { version: "1.0.1", integrity: "sha512-a" } };
    const other = { "node_modules/a": { version: "1.0.0", integrity: "sha512-b" } };
    assert.equal(isInstalled(project(t, newer, one)), false);
    assert.equal(isInstalled(project(t, other, one)), false);
  });

  test("packages for other platforms may be missing", (t) => {
    const wanted = { ...one, "node_modules/darwin": { version: "1.0.0", optional: true } };
    assert.equal(isInstalled(project(t, wanted, one)), true);
  });

  test("no record, or one that was cut off, is not installed", (t) => {
    assert.equal(isInstalled(project(t, one, undefined)), false);
    assert.equal(isInstalled(project(t, one, '{"packages": {"node_mod')), false);
  });

  test("a Node is known by running it", () => {
    assert.ok(nodeMajor(process.execPath) >= NODE_MAJOR_MIN);
    assert.equal(nodeMajor(path.join(import.meta.dirname, "no-such-node")), 0);
  });

  test("its arguments run on Node 24, with nothing else on stdout and their exit code", () => {
    const args = [script, "-p", "process.version + ' ' + process.argv.slice(1)", "one", "two"];
    const { stdout, status } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.equal(status, 0);
    assert.match(stdout, /^v(2[4-9]|[3-9]\d)\.\S+ one,two\n$/);
    assert.equal(spawnSync(process.execPath, [script, "-e", "process.exit(7)"]).status, 7);
  });

  test("what it runs finds the same Node under the name node", () => {
    const program = 'require("child_process").spawnSync("node", ["-p", "process.execPath"], { stdio: "inherit" })';
    const { stdout } = spawnSync(process.execPath, [script, "-e", program], { encoding: "utf8" });
    const direct = spawnSync(process.execPath, [script, "-p", "process.execPath"], { encoding: "utf8" });
    assert.equal(stdout, direct.stdout);
  });

  test("SIGTERM reaches what it runs, and its end is ours", async (t) => {
    const program = 'process.on("SIGTERM", () => process.exit(3)); console.log("up"); setInterval(() => {}, 1000)';
    const child = spawn(process.execPath, [script, "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
    onCleanUp(t, () => child.kill("SIGKILL"));
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    assert.deepEqual(await once(child, "exit"), [3, null]);
  });

  test("a program that a signal ended is reported as that", () => {
    const { signal } = spawnSync(process.execPath, [script, "-e", 'process.kill(process.pid, "SIGTERM")']);
    assert.equal(signal, "SIGTERM");
  });
});
