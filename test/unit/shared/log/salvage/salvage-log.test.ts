/** A salvage that is interrupted, wherever, is finished by the next start, with the same result. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import type Database from "better-sqlite3";
import { encodeRecords } from "../../../../../shared/batch/records.ts";
import { stampOffset } from "../../../../../shared/batch/record-batch.ts";
import { openForWriting } from "../../../../../shared/log/open-database.ts";
import { loadIncidents } from "../../../../../shared/log/salvage/incidents.ts";
import { openSoundly } from "../../../../../shared/log/salvage/open-soundly.ts";
import { QUARANTINES_MAX, listQuarantines, quarantinePath } from "../../../../../shared/log/salvage/quarantine.ts";
import { beginSalvage } from "../../../../../shared/log/salvage/salvage-log.ts";
import { noteSuspicion } from "../../../../../shared/log/salvage/suspicion.ts";
import { batchKey } from "../../../../../shared/log/schema.ts";
import { onCleanUp } from "../../../../support/clean-up.ts";
import { tempDir } from "../../../../support/temp-dir.ts";

const BATCHES = 50;

/** As a kill leaves it: the second half of it in the WAL alone. */
function makeLog(t: TestContext): string {
  const origin = tempDir(t);
  const directory = tempDir(t);
  const database = openForWriting(origin);
  database.exec("INSERT INTO topic VALUES ('t', x'00112233445566778899aabbccddeeff', '{}')");
  database.exec("INSERT INTO partition (topic, partition) VALUES ('t', 0)");
  for (const table of ["told", "kept"]) {
    database.exec(`CREATE TABLE ${table} (id INTEGER PRIMARY KEY, what TEXT)`);
    database.exec(`INSERT INTO ${table} (what) VALUES ('stored')`);
  }
  append(database, 0, BATCHES / 2);
  database.pragma("wal_checkpoint(TRUNCATE)");
  append(database, BATCHES / 2, BATCHES);
  for (const name of ["log.db", "log.db-wal"]) copyFileSync(path.join(origin, name), path.join(directory, name));
  database.close();
  return directory;
}

function append(database: Database.Database, from: number, to: number): void {
  const insert = database.prepare("INSERT INTO batch VALUES (?, 0, 0, ?)");
  for (let offset = from; offset < to; offset++) {
    const batch = encodeRecords([{ timestamp: 1, key: null, value: Buffer.alloc(offset * 40, `${offset} `) }]);
    stampOffset(batch, offset);
    insert.run(batchKey(1, offset), batch);
  }
}

function open(t: TestContext, directory: string, margin = 0) {
  const causes: string[] = [];
  const clock = { wallMs: () => 1_700_000_000_000 };
  const leftOut = ["told"];
  const database = openSoundly({ directory, margin, leftOut, clock, onSalvage: (cause) => causes.push(cause) });
  onCleanUp(t, () => database.close());
  const offsets = database.prepare<[], number>("SELECT key & 4398046511103 FROM batch ORDER BY key").pluck().all();
  return { database, causes, offsets };
}

const everything = Array.from({ length: BATCHES }, (_, offset) => offset);

/** What a kill leaves after each step. */
const interruptions: readonly { readonly name: string; readonly interrupt: (directory: string) => void }[] = [
  { name: "the note", interrupt: () => undefined },
  {
    name: "one file of them was moved",
    interrupt: (directory) => {
      const name = beginSalvage(directory, "test", 1).quarantine;
      mkdirSync(quarantinePath(directory, name), { recursive: true });
      renameSync(path.join(directory, "log.db"), path.join(quarantinePath(directory, name), "log.db"));
    },
  },
  {
    name: "half of the new log was written",
    interrupt: (directory) => {
      const { quarantine, files } = beginSalvage(directory, "test", 1);
      mkdirSync(quarantinePath(directory, quarantine), { recursive: true });
      for (const file of files) {
        renameSync(path.join(directory, file), path.join(quarantinePath(directory, quarantine), file));
      }
      writeFileSync(path.join(directory, "log.db.new"), "half of it");
    },
  },
];

suite("salvage", () => {
  for (const { name, interrupt } of interruptions) {
    test(`killed after ${name}: the next start finishes it and keeps all that can be read`, (t) => {
      const directory = makeLog(t);
      beginSalvage(directory, "test", 1);
      interrupt(directory);
      const { offsets, causes, database } = open(t, directory);
      assert.deepEqual(offsets, everything);
      assert.deepEqual(causes, ["test"]);
      assert.deepEqual(
        loadIncidents(database).map(({ cause, batches }) => ({ cause, batches })),
        [{ cause: "test", batches: BATCHES }],
      );
      assert.deepEqual(
        readdirSync(directory).filter((file) => /salvage|new|suspect/.test(file)),
        [],
      );
    });
  }

  test("rows that would say the wrong thing of what is lost are left out", (t) => {
    const directory = makeLog(t);
    noteSuspicion(directory, "test");
    const { database } = open(t, directory);
    const count = (table: string): unknown => database.prepare(`SELECT count(*) FROM ${table}`).pluck().get();
    assert.deepEqual([count("told"), count("kept")], [0, 1]);
  });

  test("killed when the new log was in its place: it stays there", (t) => {
    const directory = makeLog(t);
    noteSuspicion(directory, "test");
    const first = open(t, directory);
    assert.deepEqual(first.offsets, everything);
    append(first.database, BATCHES, BATCHES + 1);
    first.database.pragma("wal_checkpoint(TRUNCATE)");
    first.database.close();
    const [quarantine = ""] = listQuarantines(directory);
    const note = { at: 1, cause: "test", quarantine, files: readdirSync(quarantinePath(directory, quarantine)) };
    writeFileSync(path.join(directory, "log.salvage"), JSON.stringify(note));
    assert.deepEqual(open(t, directory).offsets, [...everything, BATCHES]);
  });

  test("a suspicion that was noted is enough, once", (t) => {
    const directory = makeLog(t);
    noteSuspicion(directory, "SQLITE_CORRUPT: test");
    const first = open(t, directory);
    assert.deepEqual(first.causes, ["SQLITE_CORRUPT: test"]);
    assert.deepEqual(first.offsets, everything);
    first.database.close();
    assert.deepEqual(open(t, directory).causes, []);
  });

  test("few quarantines are kept, the newest", (t) => {
    const directory = makeLog(t);
    for (const day of [1, 2, 3]) {
      mkdirSync(quarantinePath(directory, `log.db-2001-01-0${day}`), { recursive: true });
    }
    noteSuspicion(directory, "test");
    open(t, directory);
    const names = listQuarantines(directory);
    assert.equal(names.length, QUARANTINES_MAX);
    assert.equal(names[0], "log.db-2001-01-03");
  });

  test("with a margin, offsets that may have been given out are not given out again, and the stretch ends with a marker", (t) => {
    const directory = makeLog(t);
    rmSync(path.join(directory, "log.db-wal"));
    writeFileSync(path.join(directory, "log.running"), "");
    const { offsets, database } = open(t, directory, 1000);
    const half = everything.slice(0, BATCHES / 2);
    assert.deepEqual(offsets, [...half, BATCHES / 2 + 999]);
    const [incident] = loadIncidents(database);
    assert.deepEqual(incident?.skipped, [{ topic: "t", partition: 0, from: BATCHES / 2, to: BATCHES / 2 + 999 }]);
  });

  for (const { name, harm } of [
    { name: "is missing, its WAL is not", harm: (file: string) => rmSync(file) },
    { name: "is empty, its WAL is not", harm: (file: string) => writeFileSync(file, "") },
  ]) {
    test(`log.db ${name}: SQLite would delete the WAL; what it holds is kept`, (t) => {
      const directory = makeLog(t);
      harm(path.join(directory, "log.db"));
      const { offsets, causes } = open(t, directory);
      assert.equal(causes.length, 1);
      // Of partitions whose names nobody knows any more.
      assert.deepEqual(offsets, []);
      const [quarantine = ""] = listQuarantines(directory);
      assert.ok(existsSync(path.join(quarantinePath(directory, quarantine), "log.db-wal")));
    });
  }
});
