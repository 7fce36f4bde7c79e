import assert from "node:assert/strict";
import { cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { encodeRecords } from "../../../../../shared/batch/records.ts";
import { UNFLUSHED_COMMITS_MAX } from "../../../../../shared/log/open-database.ts";
import { whyUnsound } from "../../../../../shared/log/salvage/open-soundly.ts";
import { noteSuspicion } from "../../../../../shared/log/salvage/suspicion.ts";
import { PAGE_BYTES } from "../../../../../shared/log/schema.ts";
import { openLog } from "../../../../support/open-log.ts";
import { tempDir } from "../../../../support/temp-dir.ts";

const COMMITS = UNFLUSHED_COMMITS_MAX + 4;
const WAL_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_BYTES;

/** A record a commit, all of them in the WAL; as a kill leaves it. */
async function killedLog(t: TestContext): Promise<string> {
  const directory = tempDir(t);
  const log = await openLog(t, directory);
  await log.createTopic({ name: "events", partitionCount: 1 });
  for (let i = 0; i < COMMITS; i++) {
    const batch = encodeRecords([{ timestamp: i, key: null, value: Buffer.alloc(200, i) }]);
    await log.append(log.partition("events", 0), batch, "os");
  }
  const copy = path.join(tempDir(t), "copy");
  cpSync(directory, copy, { recursive: true });
  return copy;
}

/** Spoils the commit that `behind` others follow. */
function spoilCommit(directory: string, behind: number): void {
  const file = path.join(directory, "log.db-wal");
  const bytes = readFileSync(file);
  const ends: number[] = [];
  for (let at = WAL_HEADER_BYTES; at + FRAME_BYTES <= bytes.length; at += FRAME_BYTES) {
    if (bytes.readUInt32BE(at + 4) !== 0) ends.push(at);
  }
  const at = ends.at(-1 - behind)! + FRAME_HEADER_BYTES + PAGE_BYTES / 2;
  bytes[at] = bytes[at]! ^ 1;
  writeFileSync(file, bytes);
}

suite("a WAL that breaks off", () => {
  for (const behind of [1, UNFLUSHED_COMMITS_MAX]) {
    test(`with ${behind} commits behind the break, as a power cut may leave it: the commits that are given up are counted`, async (t) => {
      const directory = await killedLog(t);
      spoilCommit(directory, behind);
      const heard: number[] = [];
      const log = await openLog(t, directory, { onGivenUp: (commits) => heard.push(commits) });
      assert.deepEqual(heard, [behind + 1]);
      assert.equal(log.integrity.commitsGivenUp, behind + 1);
      assert.deepEqual(log.integrity.incidents, []);
      assert.equal(log.partition("events", 0).logEndOffset, COMMITS - behind - 1);
      await log.append(log.partition("events", 0), encodeRecords([{ timestamp: 1, key: null, value: null }]), "fsync");

      // The next start has nothing to tell, also where what it finds was killed again.
      const copy = path.join(tempDir(t), "copy");
      cpSync(directory, copy, { recursive: true });
      const again = await openLog(t, copy);
      assert.equal(again.integrity.commitsGivenUp, 0);
      assert.equal(again.partition("events", 0).logEndOffset, COMMITS - behind);
    });
  }

  test("in its last commit, as every power cut may leave it: nothing is told", async (t) => {
    const directory = await killedLog(t);
    spoilCommit(directory, 0);
    const log = await openLog(t, directory, { onGivenUp: () => assert.fail("there is nothing behind it") });
    assert.equal(log.integrity.commitsGivenUp, 0);
    assert.equal(log.partition("events", 0).logEndOffset, COMMITS - 1);
  });

  test("before more commits than ever go without a flush: it is damage, and what lies behind is carried over", async (t) => {
    const directory = await killedLog(t);
    spoilCommit(directory, UNFLUSHED_COMMITS_MAX + 1);
    const log = await openLog(t, directory, { onGivenUp: () => assert.fail("nothing of it is given up") });
    assert.equal(log.integrity.commitsGivenUp, 0);
    assert.match(log.integrity.incidents[0]?.cause ?? "", /WAL|log\.db-wal is damaged/);
    assert.equal(log.partition("events", 0).logEndOffset, COMMITS);
  });
});

suite("a log that can only be read", () => {
  test("is sound as a kill leaves it, and as an orderly stop does", async (t) => {
    const directory = await killedLog(t);
    const stopped = path.join(tempDir(t), "stopped");
    cpSync(directory, stopped, { recursive: true });
    await (await openLog(t, stopped)).close();
    assert.equal(whyUnsound(directory), undefined);
    assert.equal(whyUnsound(stopped), undefined);
  });

  for (const { name, spoil, cause } of [
    {
      name: "its WAL is damaged",
      spoil: (directory: string) => spoilCommit(directory, UNFLUSHED_COMMITS_MAX + 1),
      cause: /log\.db-wal is damaged/,
    },
    {
      name: "its WAL is gone",
      spoil: (directory: string) => rmSync(path.join(directory, "log.db-wal")),
      cause: /log\.db-wal is missing/,
    },
    {
      name: "the run before has found it damaged",
      spoil: (directory: string) => noteSuspicion(directory, "a page"),
      cause: /^a page$/,
    },
    {
      name: "its first page is garbage",
      spoil: (directory: string) => writeFileSync(path.join(directory, "log.db"), Buffer.alloc(PAGE_BYTES * 8, 1)),
      cause: /SQLITE_/,
    },
  ]) {
    test(`is not, where ${name}`, async (t) => {
      const directory = await killedLog(t);
      spoil(directory);
      assert.match(whyUnsound(directory) ?? "sound", cause);
    });
  }
});

suite("a log.db that was put there from elsewhere", () => {
  /** As `VACUUM INTO` makes it: the database alone. */
  async function backup(t: TestContext): Promise<string> {
    const directory = tempDir(t);
    const log = await openLog(t, directory);
    await log.createTopic({ name: "events", partitionCount: 2 });
    await log.append(log.partition("events", 0), encodeRecords([{ timestamp: 1, key: null, value: null }]), "fsync");
    await log.close();
    for (const name of readdirSync(directory)) if (name !== "log.db") rmSync(path.join(directory, name));
    return directory;
  }

  test("no offset that a consumer may have seen is given out again, once, and it is told", async (t) => {
    const directory = await backup(t);
    for (const start of ["first", "second"]) {
      const log = await openLog(t, directory, { skippedOnDamage: 1000 });
      const ends = [0, 1].map((partition) => log.partition("events", partition).logEndOffset);
      assert.deepEqual(ends, [1001, 1000], `${start} start`);
      const [incident, ...others] = log.integrity.incidents;
      assert.match(incident?.cause ?? "", /put here from elsewhere/);
      assert.deepEqual(incident?.lost, []);
      assert.deepEqual(others, []);
      await log.close();
    }
  });

  test("an agent's hub knows how far it was: nothing is left out", async (t) => {
    const log = await openLog(t, await backup(t));
    assert.equal(log.partition("events", 0).logEndOffset, 1);
    assert.deepEqual(log.integrity.incidents, []);
  });

  test("an empty one is as good as none", async (t) => {
    const directory = tempDir(t);
    const first = await openLog(t, directory);
    await first.close();
    rmSync(path.join(directory, "log.catalog"));
    const log = await openLog(t, directory, { skippedOnDamage: 1000 });
    assert.deepEqual(log.integrity.incidents, []);
  });
});

test("a log that the power left with half of its first page, and SQLite's journal of it, is made anew", async (t) => {
  const directory = tempDir(t);
  writeFileSync(path.join(directory, "log.db"), Buffer.alloc(PAGE_BYTES / 2, 0x5a));
  // https://www.sqlite.org/fileformat.html#the_rollback_journal: of a database that had no page before.
  const journal = Buffer.alloc(512);
  Buffer.from("d9d505f920a163d7", "hex").copy(journal);
  journal.writeUInt32BE(512, 20);
  journal.writeUInt32BE(PAGE_BYTES, 24);
  writeFileSync(path.join(directory, "log.db-journal"), journal);
  const causes: string[] = [];
  const log = await openLog(t, directory, { onSalvage: (cause) => causes.push(cause) });
  assert.deepEqual([causes, log.integrity.incidents], [[], []]);
  await log.createTopic({ name: "events", partitionCount: 1 });
  assert.equal(log.partition("events", 0).logEndOffset, 0);
});
