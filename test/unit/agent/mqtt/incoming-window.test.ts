import assert from "node:assert/strict";
import { test } from "node:test";
import { IncomingWindow } from "../../../../agent/mqtt/incoming-window.ts";
import { LimitLog } from "../../../../agent/mqtt/limit-log.ts";
import { mqttLimitDefaults } from "../../../../agent/mqtt/limits.ts";
import { systemClock } from "../../../../shared/clock.ts";
import { silentLogger } from "../../../../shared/logger.ts";

/** A window over identifiers whose releases the test holds back. */
function createWindow({ stored = [], packetsMax = 3 }: { stored?: [string, number][]; packetsMax?: number } = {}) {
  const released: (number | "all")[] = [];
  const gate = { open: Promise.resolve() };
  const packets = {
    ids: () => stored,
    release: async (_clientId: string, messageId: number) => {
      await gate.open;
      released.push(messageId);
    },
    releaseAll: async () => {
      await gate.open;
      released.push("all");
    },
  };
  const limitLog = new LimitLog(mqttLimitDefaults, silentLogger(), systemClock);
  const window = new IncomingWindow(packets, packetsMax, limitLog);
  const store = (connection: object, messageId: number): void => {
    assert.equal(window.admit(connection, "sensor", messageId), "admitted");
    window.settled("sensor", messageId, true);
    assert.equal(window.claim("sensor", messageId), true);
  };
  return { window, released, gate, store, limitLog };
}

test("window: of two packets with one identifier stored at once, only the first is published", () => {
  const { window } = createWindow();
  for (const connection of [{}, {}]) assert.equal(window.admit(connection, "sensor", 1), "admitted");
  window.settled("sensor", 1, true);
  window.settled("sensor", 1, true);
  assert.deepEqual([window.claim("sensor", 1), window.claim("sensor", 1)], [true, false]);
});

test("window: a message the sink refused is new when it comes again", () => {
  const { window } = createWindow();
  void window.admit({}, "sensor", 1);
  window.settled("sensor", 1, false);
  assert.equal(window.has("sensor", 1), false);
  assert.deepEqual([...window.clientIds()], []);
});

test("window: a stored message stays stored when its repetition is refused", () => {
  const { window, store } = createWindow();
  store({}, 1);
  void window.admit({}, "sensor", 1);
  window.settled("sensor", 1, false);
  assert.equal(window.claim("sensor", 1), false);
});

test("window: identifiers from before the restart are repeated ones until they are released", async () => {
  const { window } = createWindow({ stored: [["sensor", 7]] });
  assert.equal(window.claim("sensor", 7), false);
  await window.release("sensor", 7);
  assert.equal(window.claim("sensor", 7), true);
});

test("window: full of one connection's identifiers, it refuses new ones and lets known ones through", () => {
  const { window, store } = createWindow();
  const connection = {};
  for (const messageId of [1, 2, 3]) store(connection, messageId);
  assert.equal(window.admit(connection, "sensor", 4), "full");
  assert.equal(window.admit(connection, "sensor", 1), "admitted");
  assert.equal(window.admit(connection, "other", 1), "admitted");
});

test("window: full of identifiers that another connection left, it gives up the one used longest ago", async () => {
  const { window, store, released, limitLog } = createWindow();
  for (const messageId of [1, 2, 3]) store({}, messageId);
  const connection = {};
  assert.equal(window.admit(connection, "sensor", 1), "admitted");
  const room = window.admit(connection, "sensor", 4);
  assert.ok(room instanceof Promise);
  await room;
  assert.deepEqual(released, [2]);
  assert.equal(window.admit(connection, "sensor", 4), "admitted");
  assert.deepEqual(limitLog.counts(), { incomingPacketsMax: 1 });
});

test("window: the end of a session waits for messages on their way, and new ones wait for it", async () => {
  const { window, released } = createWindow();
  void window.admit({}, "sensor", 1);
  const ended = window.releaseAll("sensor");
  const waiting = window.admit({}, "sensor", 2);
  assert.ok(waiting instanceof Promise);
  await Promise.resolve();
  assert.deepEqual(released, []);
  window.settled("sensor", 1, true);
  window.claim("sensor", 1);
  await ended;
  await waiting;
  assert.deepEqual(released, ["all"]);
  assert.equal(window.has("sensor", 1), false);
  assert.equal(window.admit({}, "sensor", 2), "admitted");
});

test("window: the end of a session without identifiers costs no commit", async () => {
  const { window, released } = createWindow();
  await window.releaseAll("sensor");
  assert.deepEqual(released, []);
});
