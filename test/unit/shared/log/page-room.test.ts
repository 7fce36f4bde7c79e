import assert from "node:assert/strict";
import { test } from "node:test";
import Database from "better-sqlite3";
import { PageRoom, upkeepBytesOf } from "../../../../shared/log/page-room.ts";
import { onCleanUp } from "../../../support/clean-up.ts";

const PAGE_BYTES = 1024;

test("page room: the last pages are for upkeep, a thirty-second of them within bounds", () => {
  const pages = [100, 3200, 1_000_000].map((max) => upkeepBytesOf(max * PAGE_BYTES, PAGE_BYTES) / PAGE_BYTES);
  assert.deepEqual(pages, [16, 100, 256]);
});

test("page room: pages that were freed count, and the cap may change", (t) => {
  const database = new Database(":memory:");
  onCleanUp(t, () => void database.close());
  database.pragma(`page_size = ${PAGE_BYTES}`);
  database.exec("CREATE TABLE t (bytes BLOB)");
  const room = new PageRoom(database);
  assert.equal(room.hasFor(1e9), true, "without a cap");
  database.pragma("max_page_count = 100");
  const used = Number(database.pragma("page_count", { simple: true }));
  const most = (100 - 16 - used) * PAGE_BYTES;
  assert.equal(room.hasFor(most), true);
  assert.equal(room.hasFor(most + 1), false);
  database.exec("INSERT INTO t VALUES (zeroblob(50000))");
  assert.equal(room.hasFor(most - 40_000), false);
  assert.equal(room.freeBytes, 0);
  database.exec("DELETE FROM t");
  assert.ok(room.freeBytes > 48_000);
  assert.equal(room.hasFor(most - 2 * PAGE_BYTES), true);
});
