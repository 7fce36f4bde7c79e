import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { LimitLog } from "../../../../agent/mqtt/limit-log.ts";
import { mqttLimitDefaults } from "../../../../agent/mqtt/limits.ts";

test("limit log: one line in ten seconds a limit, with the number of those left out", () => {
  const lines: Record<string, unknown>[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  let nowMs = 5;
  const limitLog = new LimitLog(mqttLimitDefaults, logger, { wallMs: () => 0, monotonicMs: () => nowMs });
  for (let index = 0; index < 3; index++) limitLog.reached("connectionsMax", { address: "10.0.0.1" });
  limitLog.reached("firstPacket", {});
  nowMs += 10_000;
  limitLog.reached("connectionsMax", {});

  assert.deepEqual(
    lines.map(({ code, limit, max, unlogged }) => ({ code, limit, max, unlogged })),
    [
      { code: "MQTT_LIMIT", limit: "connectionsMax", max: 2000, unlogged: 0 },
      { code: "MQTT_LIMIT", limit: "firstPacket", max: undefined, unlogged: 0 },
      { code: "MQTT_LIMIT", limit: "connectionsMax", max: 2000, unlogged: 2 },
    ],
  );
  assert.deepEqual(limitLog.counts(), { connectionsMax: 4, firstPacket: 1 });
});
