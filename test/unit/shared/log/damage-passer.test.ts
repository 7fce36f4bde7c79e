import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { stampOffset } from "../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../shared/batch/records.ts";
import { DamagePasser } from "../../../../shared/log/damage-passer.ts";
import { LogReader } from "../../../../shared/log/log-reader.ts";
import { readBtreePage } from "../../../../shared/log/salvage/btree-page.ts";
import { LOG_SCHEMA, OFFSET_MAX, batchKey } from "../../../../shared/log/schema.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { tempDir } from "../../../support/temp-dir.ts";

const PAGE_BYTES = 1024;
const PARTITIONS = 3;
const BATCHES = 400;
const END = OFFSET_MAX + 1;
const LEAF = 13;

type Hole = readonly [partitionId: number, from: number, to: number];

function makeFile(t: TestContext, valueBytes = 150): string {
  const file = path.join(tempDir(t), "log.db");
  const database = new Database(file);
  database.pragma(`page_size = ${PAGE_BYTES}`);
  database.exec(LOG_SCHEMA);
  database.exec("BEGIN");
  const insert = database.prepare("INSERT INTO batch VALUES (?, 0, ?, ?)");
  for (let id = 1; id <= PARTITIONS; id++) {
    database.prepare("INSERT INTO partition (id, topic, partition) VALUES (?, 'events', ?)").run(id, id - 1);
    for (let offset = 0; offset < BATCHES; offset++) {
      const batch = encodeRecords([
        { timestamp: offset, key: null, value: Buffer.alloc(valueBytes, `${id}/${offset} `) },
      ]);
      stampOffset(batch, offset);
      insert.run(batchKey(id, offset), offset, batch);
    }
  }
  database.exec("COMMIT");
  database.close();
  return file;
}

/** The offsets on the leaf that holds a batch, and where in the file it is. */
function leafOf(file: string, partitionId: number, offset: number): { at: number; offsets: number[] } {
  const bytes = readFileSync(file);
  for (let at = PAGE_BYTES; at < bytes.length; at += PAGE_BYTES) {
    if (bytes[at] !== LEAF) continue;
    const page = readBtreePage(bytes.subarray(at, at + PAGE_BYTES), at / PAGE_BYTES + 1, PAGE_BYTES);
    const rowids = page?.cells.map((cell) => cell?.rowid) ?? [];
    if (rowids.includes(batchKey(partitionId, offset))) {
      return { at, offsets: rowids.map((rowid) => Number((rowid ?? 0n) & BigInt(OFFSET_MAX))) };
    }
  }
  throw new Error(`${partitionId}/${offset} is nowhere`);
}

function overwrite(file: string, at: number, content: Buffer): void {
  const bytes = readFileSync(file);
  content.copy(bytes, at);
  writeFileSync(file, bytes);
}

function open(t: TestContext, file: string) {
  const database = new Database(file, { readonly: true });
  onCleanUp(t, () => database.close());
  const holes: Hole[] = [];
  const passer = new DamagePasser(database, (...hole) => holes.push(hole));
  const read = (partitionId: number, from = 0): number[] =>
    [...passer.rows(partitionId, from, END)].map(({ base }) => base);
  return { database, holes, read };
}

const all = Array.from({ length: BATCHES }, (_, offset) => offset);
const without = (offsets: readonly number[]): number[] => all.filter((offset) => !offsets.includes(offset));

suite("damage passer", () => {
  for (const valueBytes of [150, 900, 5000]) {
    test(`a zeroed page with batches of ${valueBytes} bytes: all others are read, and the hole is told once`, (t) => {
      const file = makeFile(t, valueBytes);
      const { at, offsets } = leafOf(file, 2, 200);
      overwrite(file, at, Buffer.alloc(PAGE_BYTES));
      const { read, holes } = open(t, file);
      assert.deepEqual(read(2), without(offsets));
      assert.deepEqual(read(2), without(offsets));
      assert.deepEqual(holes, [[2, offsets[0], offsets.at(-1)]]);
      assert.deepEqual([read(1), read(3)], [all, all]);
    });
  }

  test("two zeroed pages with a sound one between them", (t) => {
    const file = makeFile(t);
    const first = leafOf(file, 2, 200);
    const middle = leafOf(file, 2, (first.offsets.at(-1) ?? 0) + 1);
    const second = leafOf(file, 2, (middle.offsets.at(-1) ?? 0) + 1);
    for (const { at } of [first, second]) overwrite(file, at, Buffer.alloc(PAGE_BYTES));
    const { read, holes } = open(t, file);
    assert.deepEqual(read(2), without([...first.offsets, ...second.offsets]));
    assert.equal(holes.length, 2);
  });

  test("the last page of all: what is before it is read, and it ends there", (t) => {
    const file = makeFile(t);
    const { at, offsets } = leafOf(file, 3, BATCHES - 1);
    overwrite(file, at, Buffer.alloc(PAGE_BYTES));
    const { read, holes } = open(t, file);
    assert.deepEqual(read(3), without(offsets));
    assert.equal(holes.length, 1);
  });

  test("a page of another partition in the place of this one's: its rows are not taken for this partition's", (t) => {
    for (const other of [1, 3]) {
      const file = makeFile(t);
      const { at, offsets } = leafOf(file, 2, 200);
      const stranger = leafOf(file, other, 200).at;
      overwrite(file, at, readFileSync(file).subarray(stranger, stranger + PAGE_BYTES));
      const { read, holes } = open(t, file);
      assert.deepEqual(read(2), without(offsets), `in the place of partition ${other}`);
      assert.equal(holes.length, 1);
    }
  });

  test("a disk that fails once is not damage; that it reads nothing more is none either", (t) => {
    const file = makeFile(t);
    const { database } = open(t, file);
    let failing = true;
    const holes: Hole[] = [];
    const prepare = database.prepare.bind(database);
    const fail = (): never => {
      throw Object.assign(new Error("disk I/O error"), { code: "SQLITE_IOERR_READ" });
    };
    database.prepare = ((sql: string) => {
      const statement = prepare(sql);
      return {
        iterate: (...args: unknown[]) => (failing ? fail() : statement.iterate(...args)),
        get: (...args: unknown[]) => (failing ? fail() : statement.get(...args)),
      };
    }) as typeof database.prepare;
    const passer = new DamagePasser(database, (...hole) => holes.push(hole));
    const read = (): number => [...passer.rows(1, 0, END)].length;
    assert.throws(read, { code: "SQLITE_IOERR_READ" });
    assert.throws(read, { code: "SQLITE_IOERR_READ" });
    failing = false;
    assert.equal(read(), BATCHES);
    assert.deepEqual(holes, []);
  });

  test("a look-up by time goes past a damaged page", (t) => {
    const file = makeFile(t);
    const { at, offsets } = leafOf(file, 1, 200);
    overwrite(file, at, Buffer.alloc(PAGE_BYTES));
    const { database } = open(t, file);
    const reader = new LogReader(database, () => undefined);
    for (const timestamp of all) {
      const expected = offsets.includes(timestamp) ? (offsets.at(-1) ?? 0) + 1 : timestamp;
      assert.equal(reader.offsetForTimestamp({ partitionId: 1, end: END }, timestamp)?.offset, expected);
    }
  });
});
