import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { startLean } from "../../../bin/lean-memory.ts";
import type { Birth } from "../../../bin/lean-memory.ts";
import { tempDir } from "../../support/temp-dir.ts";

function birth(over: Partial<Birth> = {}) {
  const started: { args: readonly string[]; env: Record<string, string> }[] = [];
  startLean({
    platform: "linux",
    env: { PATH: "/bin", EMPTY: undefined },
    execPath: "/node",
    execArgv: ["--inspect"],
    argv: ["/node", "/tributary.ts", "agent", "--data", "d"],
    execve: (file, args, env) => {
      assert.equal(file, "/node");
      started.push({ args, env });
    },
    ...over,
  });
  return started;
}

test("lean memory: an agent on Linux starts again in its own place, with the settings and nothing else changed", () => {
  assert.deepEqual(birth(), [
    {
      args: ["/node", "--inspect", "--max-semi-space-size=1", "/tributary.ts", "agent", "--data", "d"],
      env: { PATH: "/bin", MALLOC_ARENA_MAX: "1", MALLOC_MMAP_THRESHOLD_: "131072" },
    },
  ]);
});

test("lean memory: once is enough, and who sets something keeps it", () => {
  assert.equal(birth({ env: { MALLOC_ARENA_MAX: "2" } }).length, 0);
  const [own] = birth({ env: { NODE_OPTIONS: "--max-semi-space-size=46" } });
  assert.ok(!own?.args.includes("--max-semi-space-size=1"));
});

test("lean memory: other commands, other systems, and one where it is not possible run on as they are", () => {
  assert.equal(birth({ argv: ["/node", "/tributary.ts", "hub"] }).length, 0);
  assert.equal(birth({ argv: ["/node", "/tributary.ts"] }).length, 0);
  assert.equal(birth({ platform: "darwin" }).length, 0);
  assert.equal(birth({ execve: undefined }).length, 0);
  const refused = (): never => {
    throw new Error("EPERM");
  };
  assert.doesNotThrow(() => birth({ execve: refused }));
});

test("lean memory: on Linux a real process keeps its id, its arguments and its output", (t) => {
  const file = path.join(tempDir(t), "program.mjs");
  const module = JSON.stringify(new URL("../../../bin/lean-memory.ts", import.meta.url).href);
  writeFileSync(
    file,
    `import { startLean } from ${module};
     console.log(process.pid);
     startLean(process);
     console.log(process.pid, process.execArgv.join(), process.argv.slice(2).join());`,
  );
  const env = { ...process.env, MALLOC_ARENA_MAX: undefined, MALLOC_MMAP_THRESHOLD_: undefined };
  const { stdout, stderr } = spawnSync(process.execPath, [file, "agent", "x"], { encoding: "utf8", env });
  const lean = /^(\d+)\n\1\n\1 --max-semi-space-size=1 agent,x\n$/;
  assert.match(stdout, process.platform === "linux" ? lean : /^(\d+)\n\1 {2}agent,x\n$/, stderr);
});
