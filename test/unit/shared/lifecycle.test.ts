import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { StreamError } from "../../../shared/errors.ts";
import { Lifecycle } from "../../../shared/lifecycle.ts";
import type { PartDefinition } from "../../../shared/lifecycle.ts";
import { silentLogger } from "../../../shared/logger.ts";

/** Time that passes only when a test says so, for the deadlines as for the clock. */
function virtualTime(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let nowMs = 0;
  const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
  const advance = async (ms: number): Promise<void> => {
    // Let what is on its way arrive at its timer first.
    await new Promise(setImmediate);
    nowMs += ms;
    t.mock.timers.tick(ms);
    await new Promise(setImmediate);
  };
  return { clock, advance };
}

function recorder() {
  const seen: string[] = [];
  const part = (name: string): PartDefinition<string> => ({
    name,
    start: () => {
      seen.push(`start ${name}`);
      return name;
    },
    stop: async (started) => {
      await Promise.resolve();
      seen.push(`stop ${started}`);
    },
  });
  return { seen, part };
}

const logger = silentLogger();
const never = (): Promise<never> => new Promise(() => undefined);

suite("lifecycle", () => {
  test("parts start in order and stop in reverse, once, however often stop is asked for", async (t) => {
    const lifecycle = new Lifecycle({ logger, clock: virtualTime(t).clock });
    const { seen, part } = recorder();
    assert.equal(await lifecycle.start(part("log")), "log");
    await lifecycle.start(part("listener"));
    await Promise.all([lifecycle.stop(), lifecycle.stop()]);
    assert.deepEqual(seen, ["start log", "start listener", "stop listener", "stop log"]);
  });

  test("a part that fails to start stops those before it, and its error comes out", async (t) => {
    const lifecycle = new Lifecycle({ logger, clock: virtualTime(t).clock });
    const { seen, part } = recorder();
    const failure = new StreamError("PORT_IN_USE", "127.0.0.1:1883");
    await lifecycle.start(part("log"));
    const start = (): never => {
      throw failure;
    };
    await assert.rejects(lifecycle.start({ ...part("listener"), start }), failure);
    assert.deepEqual(seen, ["start log", "stop log"]);
    await assert.rejects(lifecycle.start(part("later")), { code: "CLOSING" });
  });

  test("a part that does not start in time is named, and stopped if it starts after all", async (t) => {
    const { clock, advance } = virtualTime(t);
    const lifecycle = new Lifecycle({ logger, clock });
    const { seen, part } = recorder();
    const late = Promise.withResolvers<string>();
    const starting = lifecycle.start({ ...part("the log"), start: () => late.promise, startMsMax: 500 });
    const refused = assert.rejects(starting, { code: "TIMEOUT", message: /the log did not start within 500 ms/ });
    await advance(500);
    await refused;
    late.resolve("the log");
    await new Promise(setImmediate);
    assert.deepEqual(seen, ["stop the log"]);
  });

  test("a part without a deadline may start as late as it likes, and is named now and then", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
    let nowMs = 0;
    const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
    const reported: unknown[] = [];
    const listening = { ...logger, info: (fields: unknown) => reported.push(fields) } as unknown as typeof logger;
    const lifecycle = new Lifecycle({ logger: listening, clock });
    const late = Promise.withResolvers<string>();
    const starting = lifecycle.start({
      ...recorder().part("the log"),
      start: () => late.promise,
      startMsMax: Infinity,
    });
    for (let i = 0; i < 12; i++) {
      nowMs += 10_000;
      t.mock.timers.tick(10_000);
    }
    late.resolve("the log");
    assert.equal(await starting, "the log");
    assert.equal(reported.length, 12);
    assert.deepEqual(reported[1], { part: "the log", durationMs: 20_000 });
    t.mock.timers.tick(10_000);
    assert.equal(reported.length, 12);
  });

  test("a part that hangs while stopping is named and does not keep the others from stopping", async (t) => {
    const { clock, advance } = virtualTime(t);
    const lifecycle = new Lifecycle({ logger, clock });
    const { seen, part } = recorder();
    await lifecycle.start(part("log"));
    await lifecycle.start({ ...part("the Kafka listener"), stop: never, stopMsMax: 700 });
    const stopped = assert.rejects(lifecycle.stop(), { code: "TIMEOUT", message: /the Kafka listener did not stop/ });
    await advance(699);
    assert.deepEqual(seen.slice(-1), ["start the Kafka listener"]);
    await advance(1);
    await stopped;
    assert.equal(seen.at(-1), "stop log");
  });

  test("many hanging parts together stay below the total, and the first started still gets its turn", async (t) => {
    const { clock, advance } = virtualTime(t);
    const lifecycle = new Lifecycle({ logger, clock });
    const { seen, part } = recorder();
    await lifecycle.start(part("log"));
    for (const name of ["a", "b", "c", "d", "e"]) await lifecycle.start({ ...part(name), stop: never });
    const stopped = assert.rejects(lifecycle.stop(), { message: /e, d, c, b, a did not stop/ });
    for (let step = 0; step < 85; step++) await advance(100);
    await stopped;
    assert.equal(seen.at(-1), "stop log");
    assert.ok(clock.monotonicMs() <= 8500);
  });

  test("an error while stopping comes out after all other parts were stopped", async (t) => {
    const lifecycle = new Lifecycle({ logger, clock: virtualTime(t).clock });
    const { seen, part } = recorder();
    const failure = new Error("no");
    const stop = (): never => {
      throw failure;
    };
    await lifecycle.start(part("log"));
    await lifecycle.start({ ...part("listener"), stop });
    await assert.rejects(lifecycle.stop(), failure);
    assert.equal(seen.at(-1), "stop log");
  });

  test("a part that was starting when stop came is stopped too", async (t) => {
    const lifecycle = new Lifecycle({ logger, clock: virtualTime(t).clock });
    const { seen, part } = recorder();
    const started = Promise.withResolvers<string>();
    const starting = lifecycle.start({ ...part("listener"), start: () => started.promise });
    const refused = assert.rejects(starting, { code: "CLOSING" });
    await lifecycle.stop();
    started.resolve("listener");
    await refused;
    assert.deepEqual(seen, ["stop listener"]);
  });
});
