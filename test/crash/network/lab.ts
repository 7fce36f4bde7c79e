/**
 * A network of one's own: the test file runs once more in namespaces in which it may do to interfaces, routes and name
 * servers what it likes, and from which nothing of it remains. Takes root on Linux.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { TestChild } from "../../support/child-process.ts";
import { tellNotTried } from "../../support/not-tried.ts";

const MARK = "TRIBUTARY_TEST_LAB";
/** In this order: the new process is the first of its kind, and whatever it started ends with it. */
const NAMESPACES = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
const INSIDE_MS_MAX = 540_000;

export function isInLab(): boolean {
  return process.env[MARK] !== undefined;
}

/** Containers often forbid it, also to root. */
function obstacleToLab(): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "namespaces take root on Linux";
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  const { status, stderr } = spawnSync("unshare", [...NAMESPACES, "--", "ip", "link", "set", "lo", "up"]);
  return status === 0 ? undefined : `unshare says ${String(stderr).trim()}`;
}

/** `define` has the tests that run inside; outside they are one. `url` is the test file's own. */
export function labSuite(name: string, url: string, define: () => void): void {
  if (isInLab()) {
    suite(name, define);
    return;
  }
  test(`${name}, in a network of its own`, async (t) => {
    const obstacle = obstacleToLab();
    if (obstacle !== undefined) {
      return tellNotTried(t, name, `This machine lets nobody have a network of his own: ${obstacle}`);
    }
    const output: string[] = [];
    const child = await TestChild.start(t, {
      command: "unshare",
      args: [...NAMESPACES, "--", process.execPath, "--test-reporter=spec", fileURLToPath(url)],
      // To the test runner inside, it is not part of another one.
      env: { [MARK]: "1", NODE_TEST_CONTEXT: undefined },
      onLine: (line) => output.push(line),
    });
    const { code } = await child.exitWithin(INSIDE_MS_MAX);
    assert.equal(code, 0, `${output.join("\n")}\n${child.stderrTail}`);
    for (const line of output) t.diagnostic(line);
    assert.ok(
      output.some((line) => line.includes("✔")),
      "tests ran inside",
    );
  });
}

/** `ip WORDS`, inside. */
export function ip(words: string): void {
  assert.ok(isInLab(), "never on the machine's own network");
  execFileSync("ip", words.split(" "), { stdio: ["ignore", "inherit", "inherit"] });
}
