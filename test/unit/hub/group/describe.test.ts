import assert from "node:assert/strict";
import { test } from "node:test";
import { deadGroup, describeGroup, listClassicGroup } from "../../../../hub/group/describe.ts";
import { GroupPlay, stableGroup } from "./group-play.ts";

test("a stable group shows its protocol, and each member's metadata and assignment", () => {
  const { state } = stableGroup(["a"], { fields: { a: { instanceId: "one", clientHost: "/10.0.0.7" } } });
  assert.deepEqual(describeGroup("g", state), {
    group: "g",
    protocolType: "consumer",
    state: "Stable",
    protocolName: "range",
    members: [
      {
        memberId: "a",
        instanceId: "one",
        clientId: "client",
        clientHost: "/10.0.0.7",
        metadata: Buffer.from("topics"),
        assignment: Buffer.from("for a"),
      },
    ],
  });
});

test("between two generations the protocol is open, and each member has what it was given last", () => {
  const play = stableGroup(["a"]);
  const before = describeGroup("g", play.state).members[0]?.assignment;
  play.join("b");
  const described = describeGroup("g", play.state);
  const [member] = described.members;
  assert.equal(described.state, "PreparingRebalance");
  assert.deepEqual([described.protocolName, member?.metadata.byteLength], ["", 0]);
  assert.ok((before?.byteLength ?? 0) > 0);
  assert.deepEqual(member?.assignment, before);
});

test("a group that only simple consumers use has no protocol type", () => {
  assert.deepEqual(listClassicGroup("g", new GroupPlay().state), {
    group: "g",
    type: "classic",
    protocolType: "",
    state: "Empty",
    memberCount: 0,
  });
});

test("an unknown group is dead", () => {
  assert.deepEqual(deadGroup("g"), { group: "g", protocolType: "", state: "Dead", protocolName: "", members: [] });
});
