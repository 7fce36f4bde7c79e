import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../../bin/failure.ts";
import { parseStartPosition } from "../../../bin/start-position.ts";

const NOW = Date.UTC(2026, 2, 1, 12);

test("earliest and latest are themselves, a bare number is an offset", () => {
  assert.deepEqual(parseStartPosition("earliest", NOW), { type: "earliest" });
  assert.deepEqual(parseStartPosition("latest", NOW), { type: "latest" });
  assert.deepEqual(parseStartPosition("1500", NOW), { type: "offset", offset: 1500 });
  assert.deepEqual(parseStartPosition("0", NOW), { type: "offset", offset: 0 });
});

test("an age counts back from now, with or without a minus", () => {
  const rows: [string, number][] = [
    ["90s", 90_000],
    ["15m", 900_000],
    ["36h", 129_600_000],
    ["7d", 604_800_000],
    ["-15m", 900_000],
  ];
  for (const [text, agoMs] of rows) {
    assert.deepEqual(parseStartPosition(text, NOW), { type: "timestamp", timestamp: NOW - agoMs }, text);
  }
});

test("an ISO 8601 time and @milliseconds are moments", () => {
  assert.deepEqual(parseStartPosition("2026-03-01T08:00Z", NOW), { type: "timestamp", timestamp: NOW - 14_400_000 });
  assert.deepEqual(parseStartPosition("2026-03-01T09:00:00+01:00", NOW), parseStartPosition("2026-03-01T08:00Z", NOW));
  assert.deepEqual(parseStartPosition(`@${NOW}`, NOW), { type: "timestamp", timestamp: NOW });
});

test("anything else is refused with the forms that exist", () => {
  for (const text of ["", "soon", "-5", "1.5", "5w", "2026-13-45", "99999999999999999999", "@", "@-1", "EARLIEST"]) {
    assert.throws(() => parseStartPosition(text, NOW), UsageError, text);
  }
  assert.throws(() => parseStartPosition("soon", NOW), /earliest, latest, an offset/);
});
