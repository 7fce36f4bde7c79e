import assert from "node:assert/strict";
import test from "node:test";
import type { TestContext } from "node:test";
import { Checkpointer } from "../../../../shared/log/checkpointer.ts";
import { openForWriting } from "../../../../shared/log/open-database.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { tempDir } from "../../../support/temp-dir.ts";

const KIB = 1024;

function start(t: TestContext) {
  const database = openForWriting(tempDir(t));
  onCleanUp(t, () => database.close());
  database.exec("CREATE TABLE filled (bytes BLOB)");
  const checkpointer = new Checkpointer(database, { bytesMax: 64 * KIB, busyTimeoutMs: 1000 });
  checkpointer.run("TRUNCATE");
  const write = (bytes: number, guessedBytes = bytes): void => {
    database.prepare("INSERT INTO filled VALUES (?)").run(Buffer.alloc(bytes));
    checkpointer.wrote(guessedBytes);
  };
  return { checkpointer, write };
}

test("checkpointer: due when so much is in the WAL, and begins anew", (t) => {
  const { checkpointer, write } = start(t);
  write(40 * KIB);
  assert.equal(checkpointer.isDue(), false);
  write(40 * KIB);
  assert.equal(checkpointer.isDue(), true);
  assert.equal(checkpointer.run("RESTART"), true);
  assert.deepEqual([checkpointer.isDue(), checkpointer.walBytes], [false, 0]);
});

test("checkpointer: what was guessed too high is measured before one is due", (t) => {
  const { checkpointer, write } = start(t);
  write(10 * KIB, 100 * KIB);
  assert.equal(checkpointer.isDue(), false);
  assert.ok(checkpointer.walBytes < 20 * KIB, `${checkpointer.walBytes}`);
  write(10 * KIB, 30 * KIB);
  assert.equal(checkpointer.isDueWith(30 * KIB), false);
  assert.equal(checkpointer.isDueWith(50 * KIB), true);
});
