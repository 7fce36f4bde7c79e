import assert from "node:assert/strict";
import { test } from "node:test";
import { WaitingRequests } from "../../../../hub/group/waiting-requests.ts";

test("each request gets the answer that is addressed to it", async () => {
  const waiting = new WaitingRequests();
  const first = waiting.openDelete();
  const second = waiting.openDelete();
  waiting.answer({ type: "answer-delete", to: second.id, result: "NON_EMPTY_GROUP" });
  waiting.answer({ type: "answer-delete", to: first.id, result: null });
  assert.deepEqual([await first.result, await second.result, waiting.count], [null, "NON_EMPTY_GROUP", 0]);
});

test("a request is answered once, and with its own kind of answer", () => {
  const waiting = new WaitingRequests();
  const { id } = waiting.openDelete();
  const wrong = { error: null, members: [] };
  assert.throws(() => waiting.answer({ type: "answer-leave", to: id + 1, result: wrong }), /answered once/);
  assert.throws(() => waiting.answer({ type: "answer-leave", to: id, result: wrong }), /waits for answer-delete/);
});

test("refusing answers every kind of request in its own form", async () => {
  const waiting = new WaitingRequests();
  const results = [waiting.openJoin("a"), waiting.openSync(), waiting.openLeave()].map(({ result }) => result);
  const deleted = waiting.openDelete();
  waiting.refuseAll("COORDINATOR_NOT_AVAILABLE");
  for (const result of await Promise.all(results)) assert.equal(result.error, "COORDINATOR_NOT_AVAILABLE");
  assert.equal(await deleted.result, "COORDINATOR_NOT_AVAILABLE");
  assert.equal(waiting.count, 0);
});
