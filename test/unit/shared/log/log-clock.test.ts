import assert from "node:assert/strict";
import { test } from "node:test";
import Database from "better-sqlite3";
import { LogClock } from "../../../../shared/log/log-clock.ts";
import { LOG_SCHEMA } from "../../../../shared/log/schema.ts";
import { onCleanUp } from "../../../support/clean-up.ts";

test("log clock: begins with the wall clock, goes on by the monotonic one, and stands still while nobody has it open", (t) => {
  const database = new Database(":memory:");
  onCleanUp(t, () => database.close());
  database.exec(LOG_SCHEMA);
  let wallMs = 1_000_000;
  let monotonicMs = 77.7;
  const clock = { wallMs: () => wallMs, monotonicMs: () => monotonicMs };
  const first = new LogClock(database, clock);
  assert.equal(first.now(), 1_000_000);
  wallMs = -5;
  monotonicMs += 1500.5;
  assert.equal(first.now(), 1_001_500);
  first.save();
  monotonicMs += 500;
  assert.equal(first.now(), 1_002_000, "not saved");

  wallMs = 9_000_000_000;
  monotonicMs = 0;
  const second = new LogClock(database, clock);
  assert.equal(second.now(), 1_001_500);
  monotonicMs = 599_999;
  second.saveWhenDue();
  assert.equal(new LogClock(database, clock).now(), 1_001_500);
  monotonicMs = 600_000;
  second.saveWhenDue();
  assert.equal(new LogClock(database, clock).now(), 1_601_500);
});
