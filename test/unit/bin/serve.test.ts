import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { StreamError } from "../../../shared/errors.ts";
import { serve } from "../../../bin/serve.ts";
import type { RunningProgram } from "../../../bin/serve.ts";
import { fakeContext } from "../../support/command.ts";

type FakeProgram = RunningProgram & { readonly fail: (error: Error) => void; readonly closeCount: () => number };

function fakeProgram(close: () => Promise<void> = async () => undefined): FakeProgram {
  const { promise: failed, resolve: fail } = Promise.withResolvers<Error>();
  let closeCount = 0;
  return {
    addresses: { http: "127.0.0.1:7070", kafka: "127.0.0.1:9092" },
    failed,
    fail,
    closeCount: () => closeCount,
    close: () => {
      closeCount++;
      return close();
    },
  };
}

test("the ready line is one JSON object with what was bound, and SIGTERM closes in order", async () => {
  const { context, signals, stdout, out } = fakeContext();
  const program = fakeProgram();
  const served = serve("hub", async () => program, context);
  await once(stdout, "data");
  assert.equal(out(), '{"ready":"hub","http":"127.0.0.1:7070","kafka":"127.0.0.1:9092"}\n');
  assert.equal(program.closeCount(), 0);
  signals.emit("SIGTERM");
  await served;
  assert.equal(program.closeCount(), 1);
  assert.equal(signals.listenerCount("SIGTERM"), 0);
});

test("a signal during the start waits for its end; the program never says that it is ready", async () => {
  const { context, signals, out } = fakeContext();
  const program = fakeProgram();
  const start = Promise.withResolvers<RunningProgram>();
  const served = serve("agent", () => start.promise, context);
  signals.emit("SIGINT");
  start.resolve(program);
  await served;
  assert.equal(out(), "");
  assert.equal(program.closeCount(), 1);
});

test("a fatal error closes the program and is what the command fails with", async () => {
  const { context, stdout } = fakeContext();
  const program = fakeProgram();
  const served = serve("hub", async () => program, context);
  await once(stdout, "data");
  program.fail(new StreamError("LOG_IO", "the disk is gone"));
  await assert.rejects(served, { code: "LOG_IO" });
  assert.equal(program.closeCount(), 1);
});

test("a start that fails is what the command fails with, and the signals are given back", async () => {
  const { context, signals } = fakeContext();
  const served = serve("hub", () => Promise.reject(new StreamError("PORT_IN_USE", "127.0.0.1:9092 is taken")), context);
  await assert.rejects(served, { code: "PORT_IN_USE" });
  assert.equal(signals.listenerCount("SIGTERM") + signals.listenerCount("SIGINT"), 0);
});

test("a close that hangs is given up after nine seconds", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { context, signals } = fakeContext();
  const closing = Promise.withResolvers<void>();
  const program = fakeProgram(() => {
    closing.resolve();
    return new Promise(() => undefined);
  });
  const served = serve("agent", async () => program, context);
  signals.emit("SIGTERM");
  await closing.promise;
  t.mock.timers.tick(9000);
  await assert.rejects(served, { code: "TIMEOUT" });
});

test("a second signal while closing ends the process at once", async () => {
  const exits: number[] = [];
  const clock = { nowMs: 0, wallMs: () => 0, monotonicMs: () => clock.nowMs };
  const { context, signals, stdout } = fakeContext({ clock });
  const closed = Promise.withResolvers<void>();
  const served = serve("hub", async () => fakeProgram(() => closed.promise), {
    ...context,
    exitNow: (code) => void exits.push(code),
  });
  await once(stdout, "data");
  signals.emit("SIGTERM");
  assert.deepEqual(exits, []);
  clock.nowMs += 1000;
  signals.emit("SIGTERM");
  assert.deepEqual(exits, [130]);
  closed.resolve();
  await served;
});
