import assert from "node:assert/strict";
import { test } from "node:test";
import { RUNWAY_SAMPLE_MS, RunwayMeter } from "../../../../agent/admin/runway.ts";
import type { LogSample } from "../../../../agent/admin/runway.ts";

const MINUTE_MS = 60_000;

function sample(atMs: number, over: Partial<LogSample> = {}): LogSample {
  return { atMs, usedBytes: 0, storedRecords: 0, appendedRecords: 0, ...over };
}

test("runway: a log that grows by 1 MB an hour with 10 MB left lasts 10 hours", () => {
  const meter = new RunwayMeter();
  meter.add(sample(0, { usedBytes: 1_000_000, storedRecords: 1000, appendedRecords: 1000 }));
  const now = sample(MINUTE_MS, { usedBytes: 1_060_000, storedRecords: 1060, appendedRecords: 1060 });
  const { hours, hoursIfOffline } = meter.estimate(now, 1_060_000 + 36_000_000);
  assert.ok(Math.abs((hours ?? 0) - 10) < 1e-9);
  assert.ok(Math.abs((hoursIfOffline ?? 0) - 10) < 1e-9);
});

test("runway: while the uplink keeps up the log does not fill; offline it would, by the size of the records last seen", () => {
  const meter = new RunwayMeter();
  meter.add(sample(0, { usedBytes: 1000, storedRecords: 10, appendedRecords: 10 }));
  // All delivered: the log is empty, and 3600 more records went through.
  const now = sample(60 * MINUTE_MS, { usedBytes: 0, storedRecords: 0, appendedRecords: 3610 });
  assert.deepEqual(meter.estimate(now, 3_600_000), { hours: null, hoursIfOffline: 10 });
});

test("runway: at the cap nothing is left", () => {
  const meter = new RunwayMeter();
  meter.add(sample(0, { usedBytes: 500, storedRecords: 5, appendedRecords: 5 }));
  const now = sample(MINUTE_MS, { usedBytes: 1100, storedRecords: 11, appendedRecords: 11 });
  assert.deepEqual(meter.estimate(now, 1000), { hours: 0, hoursIfOffline: 0 });
});

test("runway: without traffic, or without a past, there is none to tell", () => {
  const meter = new RunwayMeter();
  assert.deepEqual(meter.estimate(sample(0), 1000), { hours: null, hoursIfOffline: null });
  meter.add(sample(0));
  assert.deepEqual(meter.estimate(sample(MINUTE_MS), 1000), { hours: null, hoursIfOffline: null });
});

test("runway: only the last five minutes count", () => {
  const meter = new RunwayMeter();
  meter.add(sample(0, { usedBytes: 0 }));
  let atMs = 0;
  for (let i = 0; i < 60; i++) {
    atMs += RUNWAY_SAMPLE_MS;
    meter.add(sample(atMs, { usedBytes: 5000, storedRecords: 50, appendedRecords: 50 }));
  }
  assert.deepEqual(meter.estimate(sample(atMs, { usedBytes: 5000, storedRecords: 50, appendedRecords: 50 }), 10_000), {
    hours: null,
    hoursIfOffline: null,
  });
});

test("runway: samples closer together than ten seconds are not kept", () => {
  const meter = new RunwayMeter();
  meter.add(sample(0));
  assert.ok(!meter.isDue(RUNWAY_SAMPLE_MS - 1));
  assert.ok(meter.isDue(RUNWAY_SAMPLE_MS));
});
