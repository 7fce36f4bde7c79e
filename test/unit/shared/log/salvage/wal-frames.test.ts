import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import Database from "better-sqlite3";
import { FileBytes } from "../../../../../shared/log/salvage/byte-source.ts";
import { readWal, walPageBytes } from "../../../../../shared/log/salvage/wal-frames.ts";
import type { WalPages } from "../../../../../shared/log/salvage/wal-frames.ts";
import { onCleanUp } from "../../../../support/clean-up.ts";
import type { After } from "../../../../support/clean-up.ts";
import { tempDir } from "../../../../support/temp-dir.ts";

const PAGE_BYTES = 1024;
const FRAME_BYTES = PAGE_BYTES + 24;
const HEADER_BYTES = 32;
const COMMITS = 10;

/** SQLite's own, with one commit a row. */
function makeWal(t: After): string {
  const directory = tempDir(t);
  const database = new Database(path.join(directory, "a.db"));
  onCleanUp(t, () => database.close());
  database.pragma(`page_size = ${PAGE_BYTES}`);
  database.pragma("journal_mode = WAL");
  database.pragma("wal_autocheckpoint = 0");
  database.exec("CREATE TABLE pair (name INTEGER PRIMARY KEY, value BLOB)");
  for (let i = 1; i < COMMITS; i++) database.prepare("INSERT INTO pair VALUES (?, ?)").run(i, Buffer.alloc(700, i));
  const copy = path.join(directory, "copy");
  copyFileSync(path.join(directory, "a.db-wal"), copy);
  return copy;
}

function read(file: string, change?: (bytes: Buffer) => void): WalPages {
  const bytes = readFileSync(file);
  change?.(bytes);
  writeFileSync(file, bytes);
  const source = new FileBytes(file);
  const pages = readWal(source, PAGE_BYTES);
  source.close();
  return pages;
}

const frameAt = (index: number): number => HEADER_BYTES + index * FRAME_BYTES;
const frames = (file: string): number => Math.floor((readFileSync(file).length - HEADER_BYTES) / FRAME_BYTES);

suite("wal frames", () => {
  test("a sound WAL: the newest frame of each page, and the size after the last commit", (t) => {
    const file = makeWal(t);
    const { places, pageCount, commitsBehindBreak } = read(file);
    const bytes = readFileSync(file);
    const newest = new Map<number, number>();
    for (let i = 0; i < frames(file); i++) newest.set(bytes.readUInt32BE(frameAt(i)), frameAt(i) + 24);
    assert.deepEqual(new Map(places), newest);
    assert.equal(pageCount, Math.max(...newest.keys()));
    assert.equal(commitsBehindBreak, 0);
  });

  test("its header tells the size of pages, unless it is damaged", (t) => {
    const file = makeWal(t);
    const source = new FileBytes(file);
    assert.equal(walPageBytes(source), PAGE_BYTES);
    source.close();
    read(file, (bytes) => bytes.fill(0, 8, 12));
    const damaged = new FileBytes(file);
    assert.equal(walPageBytes(damaged), undefined);
    damaged.close();
  });

  test("a frame that ends early is the torn end of a power cut: what is before it counts", (t) => {
    const file = makeWal(t);
    const { places, commitsBehindBreak } = read(file, (bytes) => bytes.fill(0, frameAt(frames(file) - 1)));
    assert.ok(places.size > 0);
    assert.equal(commitsBehindBreak, 0);
  });

  test("any frame of the last commit may be missing after a power cut: that is no damage", (t) => {
    const file = makeWal(t);
    const bytes = readFileSync(file);
    const isEnd = (index: number): boolean => bytes.readUInt32BE(frameAt(index) + 4) !== 0;
    const last = frames(file) - 1;
    let first = last;
    while (!isEnd(first - 1)) first--;
    assert.ok(first < last, "it has more than one frame");
    assert.equal(read(file, (all) => all.fill(0, frameAt(first), frameAt(first + 1))).commitsBehindBreak, 0);
  });

  for (const { name, from, length, lost } of [
    { name: "its page", from: 100, length: 1, lost: 1 },
    // The next frame's checksum goes on from the one that is lost.
    { name: "its header", from: 0, length: 24, lost: 2 },
  ]) {
    test(`one bit or more of ${name} in the middle: the commits behind it are still found`, (t) => {
      const file = makeWal(t);
      const all = frames(file);
      // With whole commits behind the one that it spoils.
      const index = all - 10;
      const { places, commitsBehindBreak } = read(file, (bytes) => {
        for (let i = 0; i < length; i++) bytes[frameAt(index) + from + i] = 0xaa;
      });
      assert.ok(commitsBehindBreak > 0);
      const found = new Set(places.values());
      for (let i = index; i < index + lost; i++) assert.ok(!found.has(frameAt(i) + 24), `frame ${i}`);
      assert.ok(found.has(frameAt(all - 1) + 24));
    });
  }

  test("a damaged header of the file: its frames are found by each other", (t) => {
    const file = makeWal(t);
    const whole = read(file);
    const { places } = read(file, (bytes) => bytes.fill(0, 0, HEADER_BYTES));
    // But for the first one, which nothing is before.
    assert.ok(places.size >= whole.places.size - 1);
  });
});
