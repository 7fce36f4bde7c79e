import assert from "node:assert/strict";
import { suite, test } from "node:test";
import Database from "better-sqlite3";
import {
  INCIDENTS_MAX,
  loadIncidents,
  saveIncident,
  subtractRanges,
} from "../../../../../shared/log/salvage/incidents.ts";

const range = (from: number, to: number, partition = 0) => ({ topic: "t", partition, from, to });
const incident = { at: 1, cause: "c", batches: 0, records: 0, lost: [], skipped: [], damaged: 0, strays: 0 };

function open() {
  const database = new Database(":memory:");
  database.exec("CREATE TABLE meta (name TEXT PRIMARY KEY, value)");
  return database;
}

suite("incidents", () => {
  for (const { name, others, left } of [
    { name: "nothing in common", others: [range(30, 40), range(10, 19, 1)], left: [range(10, 19)] },
    { name: "the beginning", others: [range(5, 12)], left: [range(13, 19)] },
    { name: "the middle", others: [range(12, 13)], left: [range(10, 11), range(14, 19)] },
    { name: "all in two parts", others: [range(10, 14), range(15, 30)], left: [] },
  ]) {
    test(`what was told before is left out: ${name}`, () => {
      assert.deepEqual(subtractRanges([range(10, 19)], others), left);
    });
  }

  test("a stretch that was left out before is not lost the second time", () => {
    const database = open();
    saveIncident(database, { ...incident, lost: [range(0, 9)], skipped: [range(100, 999)] });
    const { lost, lostRecords } = saveIncident(database, { ...incident, lost: [range(0, 9), range(90, 999)] });
    assert.deepEqual(lost, [range(90, 99)]);
    assert.equal(lostRecords, 10);
  });

  test("only the newest are kept, and what cannot be read is forgotten", () => {
    const database = open();
    for (let at = 0; at < INCIDENTS_MAX + 5; at++) saveIncident(database, { ...incident, at });
    assert.deepEqual(
      loadIncidents(database).map(({ at }) => at),
      Array.from({ length: INCIDENTS_MAX }, (_, index) => index + 5),
    );
    database.exec("UPDATE meta SET value = '[{'");
    assert.deepEqual(loadIncidents(database), []);
  });
});
