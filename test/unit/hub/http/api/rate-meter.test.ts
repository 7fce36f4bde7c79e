import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { RateMeter, sumOf } from "../../../../../hub/http/api/rate-meter.ts";
import { onCleanUp } from "../../../../support/clean-up.ts";

function meterOf(t: TestContext) {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const now = { ms: 0, end: 0, bytes: 0, samples: 0 };
  const engine = {
    topics: new Map([["t", { name: "t", id: Buffer.alloc(16), partitionCount: 1, config: {} }]]),
    offsets: () => {
      now.samples++;
      return { logStartOffset: 0, highWatermark: now.end, logEndOffset: now.end, bytes: now.bytes };
    },
  };
  const meter = new RateMeter(engine, { wallMs: () => now.ms, monotonicMs: () => now.ms });
  onCleanUp(t, () => meter.close());
  const pass = (seconds: number, perSecond: number): void => {
    for (let second = 0; second < seconds; second++) {
      now.ms += 1000;
      now.end += perSecond;
      now.bytes += perSecond * 10;
      t.mock.timers.tick(1000);
    }
  };
  return { meter, now, pass };
}

test("rates are those of the last seconds, and nothing before there is a first sample", (t) => {
  const { meter, pass } = meterOf(t);
  assert.deepEqual(meter.ofPartitions("t"), [{ recordsPerSecond: 0, bytesPerSecond: 0 }]);
  pass(4, 100);
  assert.deepEqual(meter.ofPartitions("t"), [{ recordsPerSecond: 100, bytesPerSecond: 1000 }]);
  pass(30, 0);
  assert.deepEqual(meter.ofPartitions("t"), [{ recordsPerSecond: 0, bytesPerSecond: 0 }]);
  assert.deepEqual(meter.ofPartitions("gone"), []);
});

test("what retention takes away is no negative rate", (t) => {
  const { meter, now, pass } = meterOf(t);
  now.bytes = 10_000;
  meter.ofPartitions("t");
  now.bytes = 0;
  pass(4, 1);
  assert.deepEqual(meter.ofPartitions("t"), [{ recordsPerSecond: 1, bytesPerSecond: 0 }]);
});

test("nobody asks for a minute: no more samples are taken", (t) => {
  const { meter, now, pass } = meterOf(t);
  meter.ofPartitions("t");
  pass(70, 0);
  const { samples } = now;
  pass(60, 0);
  assert.equal(now.samples, samples);
});

test("sums", () => {
  const one = { recordsPerSecond: 1.5, bytesPerSecond: 10 };
  assert.deepEqual(sumOf([one, one]), { recordsPerSecond: 3, bytesPerSecond: 20 });
});
