import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { splitBatches, stampOffset } from "../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../shared/batch/records.ts";
import { LogReader } from "../../../../shared/log/log-reader.ts";
import { LOG_SCHEMA, OFFSET_MAX, batchKey } from "../../../../shared/log/schema.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { tempDir } from "../../../support/temp-dir.ts";

test("log reader: a trim while a read is on its way is seen before the read or after it, never in its midst", (t) => {
  const file = path.join(tempDir(t), "log.db");
  const writer = new Database(file);
  onCleanUp(t, () => writer.close());
  writer.pragma("journal_mode = WAL");
  writer.exec(LOG_SCHEMA);
  writer.exec("INSERT INTO partition (id, topic, partition) VALUES (1, 'events', 0)");
  for (let offset = 0; offset < 3; offset++) {
    const batch = encodeRecords([{ timestamp: 1, key: null, value: Buffer.from("v") }]);
    stampOffset(batch, offset);
    writer.prepare("INSERT INTO batch VALUES (?, 0, 1, ?)").run(batchKey(1, offset), batch);
  }
  const trim = (): void => {
    writer.exec("UPDATE partition SET log_start_offset = 2");
    writer.prepare("DELETE FROM batch WHERE key < ?").run(batchKey(1, 2));
  };
  const database = new Database(file, { readonly: true });
  onCleanUp(t, () => database.close());
  let onStart: (() => void) | undefined = trim;
  // Right behind the reader's look at the log start.
  const prepare = database.prepare.bind(database);
  database.prepare = ((sql: string) => {
    const statement = prepare(sql);
    if (!sql.includes("log_start_offset")) return statement;
    return {
      get: (...args: unknown[]) => {
        const row = statement.get(...args);
        onStart?.();
        onStart = undefined;
        return row;
      },
    };
  }) as typeof database.prepare;
  const reader = new LogReader(database, () => assert.fail("nothing is damaged"));
  const query = { partitionId: 1, offset: 0, end: OFFSET_MAX + 1, bytesMax: 1 << 20, atLeastOne: true };

  assert.equal([...splitBatches(reader.read(query))].length, 3);
  assert.throws(() => reader.read(query), { code: "OFFSET_OUT_OF_RANGE" });
});
