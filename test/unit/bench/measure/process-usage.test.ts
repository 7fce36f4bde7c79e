import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuTicks } from "../../../../bench/measure/process-usage.ts";

test("CPU ticks: user and system time, whatever the program calls itself", () => {
  const rest = "S 1 1 1 0 -1 4194304 100 0 0 0 250 75 0 0 20 0 11 0 12345";
  assert.equal(cpuTicks(`4711 (node) ${rest}`), 325);
  assert.equal(cpuTicks(`4711 (a) b (c) ${rest}`), 325);
});
