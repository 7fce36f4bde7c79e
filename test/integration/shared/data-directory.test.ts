/** A data directory that the program's user may not write: told at once, with what to do; nothing is begun. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { tempDir } from "../../support/temp-dir.ts";

const MODULE = new URL("../../../shared/log/make-directory.ts", import.meta.url).href;
const NOBODY = 65_534;

/** What it says to somebody who is not root, in a process of its own. */
function makeDirectoryAsNobody(directory: string): string {
  const program = `
    import { makeDirectory } from ${JSON.stringify(MODULE)};
    if (process.getuid() === 0) {
      process.setgroups([]);
      process.setgid(${NOBODY});
      process.setuid(${NOBODY});
    }
    try {
      makeDirectory(${JSON.stringify(directory)});
      console.log("made");
    } catch (error) {
      console.log(error.code, error.reason);
    }`;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module-typescript", "--eval", program], {
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  return stdout.trim();
}

test("a data directory, what is in it, or where it is to be made belongs to somebody else: LOG_NOT_ALLOWED names it", (t) => {
  const outside = tempDir(t);
  chmodSync(outside, 0o777);
  assert.equal(makeDirectoryAsNobody(path.join(outside, "new", "data")), "made");

  const closed = path.join(outside, "closed");
  mkdirSync(closed, { mode: 0o555 });
  assert.match(makeDirectoryAsNobody(closed), /^LOG_NOT_ALLOWED .*closed$/);
  assert.match(makeDirectoryAsNobody(path.join(closed, "data")), /^LOG_NOT_ALLOWED .*data$/);

  const taken = path.join(outside, "taken");
  mkdirSync(taken);
  chmodSync(taken, 0o777);
  writeFileSync(path.join(taken, "log.db"), "", { mode: 0o444 });
  assert.match(makeDirectoryAsNobody(taken), /^LOG_NOT_ALLOWED .*log\.db$/);
});
