import assert from "node:assert/strict";
import Database from "better-sqlite3";
import test from "node:test";
import { spaceExtension } from "../../../../agent/buffer/space-extension.ts";
import type { DatabaseSize } from "../../../../agent/buffer/space-extension.ts";

test("space: at the limit nothing is stored, deleting works, and what it frees is used again", () => {
  const database = new Database(":memory:");
  database.pragma("page_size = 1024");
  database.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, bytes BLOB)");
  const methods = spaceExtension.prepare(database);
  const size = (): DatabaseSize => methods["size"]?.(undefined as never) as DatabaseSize;
  methods["limit"]?.({ bytesMax: 100 * 1024 + 17 } as never);
  const insert = database.prepare("INSERT INTO t (bytes) VALUES (zeroblob(5000))");
  const fill = (): void => {
    for (;;) insert.run();
  };
  assert.throws(fill, { code: "SQLITE_FULL" });
  assert.ok(size().fileBytes <= 100 * 1024 && size().fileBytes > 90 * 1024);
  const full = size();
  database.exec("DELETE FROM t WHERE id <= 5");
  assert.equal(size().fileBytes, full.fileBytes);
  assert.ok(size().usedBytes <= full.usedBytes - 5 * 4 * 1024);
  insert.run();
  assert.equal(size().fileBytes, full.fileBytes);
  database.close();
});
