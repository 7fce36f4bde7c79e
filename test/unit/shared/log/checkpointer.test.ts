import assert from "node:assert/strict";
import path from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { Checkpointer, HELD_BYTES } from "../../../../shared/log/checkpointer.ts";
import { openForWriting } from "../../../../shared/log/open-database.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { tempDir } from "../../../support/temp-dir.ts";

const KIB = 1024;

function start(t: TestContext) {
  const directory = tempDir(t);
  const database = openForWriting(directory);
  onCleanUp(t, () => database.close());
  database.exec("CREATE TABLE filled (bytes BLOB)");
  const held: number[] = [];
  const checkpointer = new Checkpointer(database, {
    bytesMax: 64 * KIB,
    busyTimeoutMs: 1000,
    onHeld: (walBytes) => held.push(walBytes),
  });
  checkpointer.run("TRUNCATE");
  const write = (bytes: number, guessedBytes = bytes): void => {
    database.prepare("INSERT INTO filled VALUES (?)").run(Buffer.alloc(bytes));
    checkpointer.wrote(guessedBytes);
  };
  return { directory, checkpointer, write, held };
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

test("checkpointer: another program that holds on is told, again with each so much more, and anew after it let go", (t) => {
  const { directory, checkpointer, write, held } = start(t);
  const reader = new Database(path.join(directory, "log.db"), { readonly: true });
  onCleanUp(t, () => void reader.close());
  const writeOn = (steps: number): void => {
    for (let step = 0; step < steps; step++) {
      write(KIB, HELD_BYTES / 4);
      assert.equal(checkpointer.run("RESTART"), !reader.inTransaction);
    }
  };
  write(KIB);
  reader.exec("BEGIN");
  reader.prepare("SELECT count(*) FROM filled").get();
  writeOn(3);
  assert.deepEqual(held, []);
  writeOn(5);
  assert.deepEqual(
    held.map((bytes) => Math.floor(bytes / HELD_BYTES)),
    [1, 2],
  );
  reader.exec("COMMIT");
  writeOn(1);
  reader.exec("BEGIN");
  reader.prepare("SELECT count(*) FROM filled").get();
  writeOn(4);
  assert.equal(held.length, 3);
});
