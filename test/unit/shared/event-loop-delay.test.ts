import assert from "node:assert/strict";
import { test } from "node:test";
import { EventLoopDelayMeter, WINDOW_MS_MIN } from "../../../shared/event-loop-delay.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import { waitUntil } from "../../support/wait-until.ts";

const BUSY_MS = 150;
const DEADLINE_MS = 10_000;

test("event loop delay: what occupies the thread shows, for as long as the window lasts and until the next has as much", async (t) => {
  let nowMs = 0;
  const meter = new EventLoopDelayMeter({ monotonicMs: () => nowMs, wallMs: () => nowMs });
  onCleanUp(t, () => meter.stop());
  // Between two looks: the first one only begins the measurement.
  await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
  const untilMs = performance.now() + BUSY_MS;
  while (performance.now() < untilMs);
  await waitUntil(() => meter.read().maxMs >= BUSY_MS / 2, { what: "the delay to show", deadlineMs: DEADLINE_MS });
  assert.ok(meter.read().p50Ms < BUSY_MS / 2);
  nowMs += WINDOW_MS_MIN;
  assert.ok(meter.read().maxMs >= BUSY_MS / 2);
  assert.ok(meter.read().maxMs >= BUSY_MS / 2, "the window before is still shown");
  nowMs += WINDOW_MS_MIN;
  meter.read();
  await waitUntil(() => meter.read().maxMs < BUSY_MS / 2, { what: "a window without it", deadlineMs: DEADLINE_MS });
});
