import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamError } from "../../../../../shared/errors.ts";
import { encodeConsumerSnapshot } from "../../../../../hub/group/consumer/consumer-snapshot.ts";
import { decodeSnapshot } from "../../../../../hub/group/snapshot.ts";
import { ConsumerPlay } from "./consumer-play.ts";

/** In the middle of a rebalance, with a static member and an expression. */
function saved() {
  const play = new ConsumerPlay({ t: 4, u: 1 });
  play.join("a", { instanceId: "one", rackId: "r", assignor: "uniform" });
  play.join("b", { subscribedRegex: "u" });
  play.heartbeat({ memberId: "a", epoch: 1, instanceId: "one" });
  assert.equal(play.look("a"), "unrevoked 1: t 0 1 2 - t 3");
  const group = play.persisted.at(-1);
  assert.ok(group);
  return group;
}

/** As version 2 was written when it was new: later programs have to read it. */
const golden =
  '{"version":2,"type":"consumer","epoch":2,"assignmentEpoch":2,"assignor":"uniform","topics":[{"name":"t","id":"id-t","partitionCount":4},{"name":"u","id":"id-u","partitionCount":1}],"members":[{"memberId":"a","instanceId":"one","rackId":"r","clientId":"client","clientHost":"/127.0.0.1","rebalanceTimeoutMs":60000,"subscribedNames":["t"],"subscribedRegex":"","assignor":"uniform","epoch":1,"previousEpoch":0,"phase":"unrevoked","assigned":{"id-t":[[0,1],[1,1],[2,1]]},"revoking":{"id-t":[[3,1]]},"target":{"id-t":[0,1,2]}},{"memberId":"b","instanceId":null,"rackId":null,"clientId":"client","clientHost":"/127.0.0.1","rebalanceTimeoutMs":60000,"subscribedNames":["t"],"subscribedRegex":"u","assignor":null,"epoch":2,"previousEpoch":0,"phase":"unreleased","assigned":{"id-u":[[0,2]]},"revoking":{},"target":{"id-u":[0],"id-t":[3]}}]}';

test("a group comes back as it was", () => {
  assert.deepEqual(decodeSnapshot(encodeConsumerSnapshot(saved())), { type: "consumer", group: saved() });
});

test("version 2 is readable for ever", () => {
  assert.deepEqual(decodeSnapshot(Buffer.from(golden)), { type: "consumer", group: saved() });
});

test("unknown fields are ignored, so that a version can grow", () => {
  const grown = golden.replace("{", '{"later":true,').replace('"phase"', '"later":1,"phase"');
  assert.deepEqual(decodeSnapshot(Buffer.from(grown)), { type: "consumer", group: saved() });
});

for (const [what, json] of [
  ["half of it", golden.slice(0, 300)],
  ["a phase that does not exist", golden.replace("unrevoked", "asleep")],
  ["a missing field", golden.replace('"assignmentEpoch":2,', "")],
  ["a negative partition", golden.replace("[[0,1]", "[[-1,1]")],
] as const) {
  test(`${what} -> CORRUPT_RECORD`, () => {
    assert.throws(
      () => decodeSnapshot(Buffer.from(json)),
      (error) => error instanceof StreamError && error.code === "CORRUPT_RECORD",
    );
  });
}
