import assert from "node:assert/strict";
import { test } from "node:test";
import { checkConsumerHeartbeat } from "../../../../../hub/group/consumer/request-check.ts";
import type { ConsumerHeartbeatRequest } from "../../../../../hub/group/groups.ts";
import { heartbeatRequest, joinRequest, partitionSet } from "./consumer-play.ts";

const check = (request: ConsumerHeartbeatRequest) =>
  checkConsumerHeartbeat(request, { memberBytesMax: 1024 })?.error ?? "ok";

const rows: readonly (readonly [string, ConsumerHeartbeatRequest, string])[] = [
  ["a join", joinRequest("m"), "ok"],
  ["a join of a client that does not name itself", joinRequest(""), "ok"],
  ["a join with an expression", joinRequest("m", { subscribedNames: null, subscribedRegex: "t.*" }), "ok"],
  ["a join without a subscription", joinRequest("m", { subscribedNames: null }), "INVALID_REQUEST"],
  ["a join without a rebalance timeout", joinRequest("m", { rebalanceTimeoutMs: -1 }), "INVALID_REQUEST"],
  ["a join that does not say what it owns", joinRequest("m", { owned: null }), "INVALID_REQUEST"],
  ["a join with partitions", joinRequest("m", { owned: partitionSet("t 0") }), "INVALID_REQUEST"],
  ["a heartbeat", heartbeatRequest(), "ok"],
  ["a heartbeat of nobody", heartbeatRequest({ memberId: "" }), "INVALID_REQUEST"],
  ["an empty instance id", heartbeatRequest({ instanceId: "" }), "INVALID_REQUEST"],
  ["an empty rack id", heartbeatRequest({ rackId: "" }), "INVALID_REQUEST"],
  ["an epoch that does not exist", heartbeatRequest({ epoch: -3 }), "INVALID_REQUEST"],
  ["leaving", heartbeatRequest({ epoch: -1 }), "ok"],
  ["leaving for a moment", heartbeatRequest({ epoch: -2, instanceId: "one" }), "ok"],
  ["leaving for a moment without an instance id", heartbeatRequest({ epoch: -2 }), "INVALID_REQUEST"],
  ["no group id", heartbeatRequest({ group: "" }), "INVALID_GROUP_ID"],
  ["too long a group id", heartbeatRequest({ group: "g".repeat(250) }), "INVALID_GROUP_ID"],
  ["the range assignor", joinRequest("m", { assignor: "range" }), "ok"],
  ["an assignor of its own", joinRequest("m", { assignor: "mine" }), "UNSUPPORTED_ASSIGNOR"],
  [
    "more topics than a member may name",
    joinRequest("m", { subscribedNames: ["t".repeat(1024)] }),
    "MESSAGE_TOO_LARGE",
  ],
];
for (const [what, request, expected] of rows) {
  test(`${what}: ${expected}`, () => assert.equal(check(request), expected));
}
