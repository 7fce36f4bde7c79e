import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { interruptSignal, isBrokenPipe, whenAborted } from "../../../bin/interrupt.ts";
import { fakeContext } from "../../support/command.ts";

function interruptible() {
  const signals = new EventEmitter();
  const exits: number[] = [];
  const clock = { nowMs: 5000, wallMs: () => 0, monotonicMs: () => clock.nowMs };
  const context = { ...fakeContext().context, signals, clock, exitNow: (code: number) => void exits.push(code) };
  return { signals, exits, clock, interrupt: interruptSignal(context) };
}

test("the first signal asks for an orderly end, the second one ends with 130", () => {
  const { signals, exits, interrupt, clock } = interruptible();
  signals.emit("SIGTERM");
  assert.equal(interrupt.signal.aborted, true);
  assert.deepEqual(exits, []);
  clock.nowMs += 1000;
  signals.emit("SIGINT");
  assert.deepEqual(exits, [130]);
});

test("a signal that comes twice within a second is one: the terminal's and the one that npm passes on", () => {
  const { signals, exits, clock } = interruptible();
  signals.emit("SIGINT");
  clock.nowMs += 999;
  signals.emit("SIGINT");
  assert.deepEqual(exits, []);
});

test("a disposed interrupt leaves no listeners behind", () => {
  const signals = new EventEmitter();
  const interrupt = interruptSignal({ ...fakeContext().context, signals });
  assert.equal(signals.listenerCount("SIGINT"), 1);
  interrupt.dispose();
  assert.equal(signals.listenerCount("SIGINT") + signals.listenerCount("SIGTERM"), 0);
});

test("waiting for an abort ends at once when it has come already", async () => {
  assert.equal(await whenAborted(AbortSignal.abort()), undefined);
});

test("only a closed pipe counts as a broken pipe", () => {
  assert.equal(isBrokenPipe(Object.assign(new Error("x"), { code: "EPIPE" })), true);
  assert.equal(isBrokenPipe(new Error("EPIPE")), false);
});
