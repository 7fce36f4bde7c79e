import assert from "node:assert/strict";
import { suite, test } from "node:test";
import Database from "better-sqlite3";
import { prepareStatements } from "../../../../shared/log/log-statements.ts";
import { LOG_SCHEMA, OFFSET_MAX, batchKey } from "../../../../shared/log/schema.ts";
import { StartCounter } from "../../../../shared/log/start-counter.ts";

const BATCH_BYTES = 7;

function withBatches(places: readonly (readonly [partitionId: number, offset: number])[]) {
  const database = new Database(":memory:");
  database.exec(LOG_SCHEMA);
  const columns = database.prepare("SELECT name FROM pragma_table_info('batch')").pluck().all() as string[];
  const values = columns.map((name) => (name === "key" ? "?" : name === "bytes" ? `zeroblob(${BATCH_BYTES})` : "0"));
  const insert = database.prepare(`INSERT INTO batch (${columns.join(", ")}) VALUES (${values.join(", ")})`);
  database.transaction(() => {
    for (const [partitionId, offset] of places) insert.run(batchKey(partitionId, offset));
  })();
  return prepareStatements(database);
}

suite("start counter", () => {
  test("counts a partition's batches from an offset on, and nothing of its neighbours", () => {
    const statements = withBatches([
      [1, OFFSET_MAX],
      [2, 0],
      [2, 5],
      [2, OFFSET_MAX],
      [3, 0],
    ]);
    const counter = new StartCounter(statements, { wallMs: () => 0, monotonicMs: () => 0 }, () => undefined);
    assert.equal(counter.count(2, 0), 3 * BATCH_BYTES);
    assert.equal(counter.count(2, 1), 2 * BATCH_BYTES);
    assert.equal(counter.count(4, 0), 0);
  });

  test("counts more rows than one step takes, and reports every 5 s how far it is", () => {
    const rows = 25_000;
    const statements = withBatches(Array.from({ length: rows }, (_, offset) => [1, offset] as const));
    let nowMs = 0;
    const clock = { wallMs: () => 0, monotonicMs: () => (nowMs += 2500) };
    const reports: number[] = [];
    assert.equal(new StartCounter(statements, clock, (bytes) => reports.push(bytes)).count(1, 0), rows * BATCH_BYTES);
    assert.deepEqual(reports, [20_000 * BATCH_BYTES]);
  });
});
