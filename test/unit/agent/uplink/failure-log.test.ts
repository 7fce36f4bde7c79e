import assert from "node:assert/strict";
import test from "node:test";
import { FailureLog, REASONS_MAX, REPEAT_MS } from "../../../../agent/uplink/failure-log.ts";
import { StreamError } from "../../../../shared/errors.ts";
import type { Logger } from "../../../../shared/logger.ts";
import { VirtualTimers } from "../../../support/virtual-timers.ts";

function start() {
  const clock = new VirtualTimers();
  const lines: { reason?: string; attemptsNotTold?: number }[] = [];
  const add = (fields: object): void => void lines.push(fields);
  const log = new FailureLog({ warn: add, info: add } as unknown as Logger, clock);
  return { clock, lines, log };
}

const refused = new StreamError("HUB_UNREACHABLE", "nothing listens");

test("failure log: the same reason is told once, then now and then with the count", async () => {
  const { clock, lines, log } = start();
  for (let attempt = 0; attempt < 10; attempt++) log.failed(refused, 1);
  assert.equal(lines.length, 1);
  await clock.advance(REPEAT_MS);
  log.failed(refused, 1);
  assert.equal(lines.length, 2);
  assert.equal(lines[1]?.attemptsNotTold, 9);
});

test("failure log: another reason is told at once", () => {
  const { lines, log } = start();
  log.failed(refused, 1);
  log.failed(new StreamError("UNAUTHORIZED", "wrong token"), 1);
  assert.deepEqual(
    lines.map(({ reason }) => reason),
    ["HUB_UNREACHABLE: nothing listens", "UNAUTHORIZED: wrong token"],
  );
});

test("failure log: reasons that take turns are told once each", () => {
  const { lines, log } = start();
  for (let attempt = 0; attempt < 20; attempt++) {
    log.failed(attempt % 2 === 0 ? refused : new StreamError("HUB_UNREACHABLE", "no route"), 1);
  }
  assert.equal(lines.length, 2);
});

test("failure log: of many reasons the one told longest ago is forgotten", () => {
  const { lines, log } = start();
  log.failed(refused, 1);
  for (let port = 0; port < REASONS_MAX; port++) log.failed(new StreamError("HUB_UNREACHABLE", `port ${port}`), 1);
  log.failed(refused, 1);
  assert.equal(lines.length, 1 + REASONS_MAX + 1);
});
