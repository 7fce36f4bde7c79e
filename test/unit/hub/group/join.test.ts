import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { defaultGroupLimits } from "../../../../hub/group/group-state.ts";
import { checkJoinRequest } from "../../../../hub/group/join.ts";
import {
  completingGroup,
  GroupPlay,
  type JoinFields,
  joinRequest,
  preparingGroup,
  protocols,
  stableGroup,
} from "./group-play.ts";
import { testJoins, type JoinRow } from "./join-rows.ts";

const one: JoinFields = { instanceId: "one" };
const twoStatics = { fields: { a: one, b: { instanceId: "two" } } };

function deadGroup(): GroupPlay {
  const play = new GroupPlay();
  play.delete();
  return play;
}

const firstJoins: readonly JoinRow[] = [
  {
    row: "no id, dynamic, v4 or later: an id to come back with, and a session to do so",
    given: () => new GroupPlay(),
    join: { requireKnownMemberId: true, as: "new" },
    answer: "MEMBER_ID_REQUIRED",
    phase: "Empty",
    also(play, answer) {
      assert.deepEqual([answer?.memberId, answer?.generation], ["new", -1]);
      assert.equal(play.sessionMs("new"), 10_000);
      assert.equal(play.state.members.size, 0);
    },
  },
  {
    row: "no id, dynamic, v4 or later, in a stable group: the group is not disturbed yet",
    given: () => stableGroup(["a"]),
    join: { requireKnownMemberId: true },
    answer: "MEMBER_ID_REQUIRED",
    phase: "Stable",
  },
  {
    row: "no id, dynamic, before v4: is added",
    given: () => new GroupPlay(),
    join: { as: "new" },
    answer: "parked",
    phase: "PreparingRebalance",
    also: (play) => assert.deepEqual(play.memberIds, ["new"]),
  },
  {
    row: "no id, new instance: is added without the round for an id",
    given: () => stableGroup(["a"]),
    join: { ...one, requireKnownMemberId: true, as: "new" },
    answer: "parked",
    phase: "PreparingRebalance",
    also: (play) => assert.equal(play.state.staticMembers.get("one"), "new"),
  },
  {
    row: "no id, into a rebalance: is added and waited for with the others",
    given: () => preparingGroup(["a", "b"]),
    join: { as: "new" },
    answer: "parked",
    phase: "PreparingRebalance",
  },
  {
    row: "no id, while assignments are awaited: the rebalance starts again",
    given: () => completingGroup(["a"]),
    join: { as: "new" },
    answer: "parked",
    phase: "PreparingRebalance",
  },
  {
    row: "an id that is not a member's",
    given: () => stableGroup(["a"]),
    join: { memberId: "stranger" },
    answer: "UNKNOWN_MEMBER_ID",
    phase: "Stable",
  },
  {
    row: "an id in an empty group",
    given: () => new GroupPlay(),
    join: { memberId: "a" },
    answer: "UNKNOWN_MEMBER_ID",
    phase: "Empty",
  },
  {
    row: "an id with an unknown instance",
    given: () => stableGroup(["a"], { fields: { a: one } }),
    join: { memberId: "a", instanceId: "other" },
    answer: "UNKNOWN_MEMBER_ID",
    phase: "Stable",
  },
  {
    row: "an id with an instance that another id holds",
    given: () => stableGroup(["a"], { fields: { a: one } }),
    join: { ...one, memberId: "older a" },
    answer: "FENCED_INSTANCE_ID",
    phase: "Stable",
  },
  {
    row: "a group that is being deleted: the client looks for its coordinator and starts anew",
    given: deadGroup,
    join: { memberId: "a" },
    answer: "COORDINATOR_NOT_AVAILABLE",
    phase: "Dead",
    also: (_play, answer) => assert.equal(answer?.memberId, ""),
  },
];

const rejoins: readonly JoinRow[] = [
  {
    row: "member, rebalance under way: is parked until all have joined",
    given: () => preparingGroup(["a", "b", "c"]),
    join: { memberId: "b" },
    answer: "parked",
    phase: "PreparingRebalance",
  },
  {
    row: "member, rebalance under way, the last to join: the next generation",
    given: () => preparingGroup(["a", "b"]),
    join: { memberId: "b", protocols: protocols("range=other topics") },
    answer: "ok",
    phase: "CompletingRebalance",
    also(play, answer) {
      assert.equal(answer?.generation, 2);
      assert.equal(play.state.members.get("b")?.protocols[0]?.metadata.toString(), "other topics");
    },
  },
  {
    row: "follower, assignments awaited, unchanged: hears its lost answer again",
    given: () => completingGroup(["a", "b"]),
    join: { memberId: "b" },
    answer: "ok",
    phase: "CompletingRebalance",
    also: (_play, answer) => assert.deepEqual([answer?.generation, answer?.leader, answer?.members], [1, "a", []]),
  },
  {
    row: "leader, assignments awaited, unchanged: hears its lost answer again, with the members",
    given: () => completingGroup(["a", "b"]),
    join: { memberId: "a" },
    answer: "ok",
    phase: "CompletingRebalance",
    also: (_play, answer) =>
      assert.deepEqual(
        answer?.members.map(({ memberId }) => memberId),
        ["a", "b"],
      ),
  },
  {
    row: "member, assignments awaited, changed: the rebalance starts again",
    given: () => completingGroup(["a", "b"]),
    join: { memberId: "b", protocols: protocols("range=other topics") },
    answer: "parked",
    phase: "PreparingRebalance",
  },
  {
    row: "follower, stable, unchanged: the present generation",
    given: () => stableGroup(["a", "b"]),
    join: { memberId: "b" },
    answer: "ok",
    phase: "Stable",
    also: (_play, answer) => assert.deepEqual([answer?.generation, answer?.members], [1, []]),
  },
  {
    row: "follower, stable, changed: a rebalance",
    given: () => stableGroup(["a", "b"]),
    join: { memberId: "b", protocols: protocols("range=other topics") },
    answer: "parked",
    phase: "PreparingRebalance",
  },
  {
    row: "follower, stable, same protocols in another order: a rebalance, for the order is its preference",
    given: () =>
      stableGroup(["a", "b"], {
        fields: { a: { protocols: protocols("range", "sticky") }, b: { protocols: protocols("range", "sticky") } },
      }),
    join: { memberId: "b", protocols: protocols("sticky", "range") },
    answer: "parked",
    phase: "PreparingRebalance",
  },
  {
    row: "leader, stable, unchanged: a rebalance, for that is how it asks for one",
    given: () => stableGroup(["a", "b"]),
    join: { memberId: "a" },
    answer: "parked",
    phase: "PreparingRebalance",
  },
  {
    row: "leader alone, stable: the next generation at once",
    given: () => stableGroup(["a"]),
    join: { memberId: "a" },
    answer: "ok",
    phase: "CompletingRebalance",
    also: (_play, answer) => assert.equal(answer?.generation, 2),
  },
];

const refusals: readonly JoinRow[] = [
  {
    row: "an empty group and no protocol type",
    given: () => new GroupPlay(),
    join: { protocolType: "" },
    answer: "INCONSISTENT_GROUP_PROTOCOL",
    phase: "Empty",
  },
  {
    row: "an empty group and no protocols",
    given: () => new GroupPlay(),
    join: { protocols: [] },
    answer: "INCONSISTENT_GROUP_PROTOCOL",
    phase: "Empty",
  },
  {
    row: "another protocol type than the group's",
    given: () => stableGroup(["a"]),
    join: { protocolType: "connect" },
    answer: "INCONSISTENT_GROUP_PROTOCOL",
    phase: "Stable",
  },
  {
    row: "no protocol that every member supports",
    given: () =>
      stableGroup(["a", "b"], {
        fields: { a: { protocols: protocols("x", "y") }, b: { protocols: protocols("x", "z") } },
      }),
    join: { protocols: protocols("y", "z") },
    answer: "INCONSISTENT_GROUP_PROTOCOL",
    phase: "Stable",
  },
  {
    row: "a full group and a newcomer",
    given: () => stableGroup(["a", "b"], { limits: { membersMax: 2 } }),
    join: {},
    answer: "GROUP_MAX_SIZE_REACHED",
    phase: "Stable",
  },
  {
    row: "a full group and a member",
    given: () => stableGroup(["a", "b"], { limits: { membersMax: 2 } }),
    join: { memberId: "b" },
    answer: "ok",
    phase: "Stable",
  },
  {
    row: "a full group and a returning static member",
    given: () => stableGroup(["a", "b"], { ...twoStatics, limits: { membersMax: 2 } }),
    join: one,
    answer: "ok",
    phase: "Stable",
  },
];

testJoins("join: first join", firstJoins);
testJoins("join: rejoin", rejoins);
testJoins("join: compatibility and size", refusals);

suite("join: before a group is looked for", () => {
  const rows: readonly (readonly [string, Partial<ReturnType<typeof joinRequest>>, string | null])[] = [
    ["a good request", {}, null],
    ["no group id", { group: "" }, "INVALID_GROUP_ID"],
    ["a group id of 249 characters", { group: "g".repeat(249) }, null],
    ["a group id of 250 characters", { group: "g".repeat(250) }, "INVALID_GROUP_ID"],
    ["the shortest session", { sessionTimeoutMs: 6_000 }, null],
    ["a session too short", { sessionTimeoutMs: 5_999 }, "INVALID_SESSION_TIMEOUT"],
    ["the longest session", { sessionTimeoutMs: 300_000 }, null],
    ["a session too long", { sessionTimeoutMs: 300_001 }, "INVALID_SESSION_TIMEOUT"],
    [
      "as much metadata as allowed",
      { clientId: "c", protocols: [{ name: "p", metadata: Buffer.alloc(65_534) }] },
      null,
    ],
    [
      "too much metadata",
      { clientId: "c", protocols: [{ name: "p", metadata: Buffer.alloc(65_535) }] },
      "MESSAGE_TOO_LARGE",
    ],
    ["too long an instance id", { instanceId: "i".repeat(65_536) }, "MESSAGE_TOO_LARGE"],
    ["too many protocols", { protocols: protocols(...Array.from({ length: 33 }, () => "x")) }, "MESSAGE_TOO_LARGE"],
  ];
  for (const [what, fields, error] of rows) {
    test(`${what} -> ${error ?? "accepted"}`, () => {
      assert.equal(checkJoinRequest(joinRequest(fields), defaultGroupLimits), error);
    });
  }
});

suite("join: a retry is a sign of life", () => {
  const groups = { "assignments awaited": completingGroup, stable: stableGroup };
  for (const [phase, group] of Object.entries(groups)) {
    test(phase, () => {
      const play = group(["a", "b"]);
      play.timers.clear();
      play.rejoin("b");
      assert.deepEqual([...play.timers], [["session b", 10_000]]);
    });
  }
});

suite("join: rebalance timeout", () => {
  const rows: readonly (readonly [string, number, number])[] = [
    ["as the member asks", 60_000, 60_000],
    ["not sent by JoinGroup v0: the session timeout (KIP-62)", -1, 10_000],
    ["never: the maximum", 2 ** 31 - 1, 86_400_000],
  ];
  for (const [what, askedMs, keptMs] of rows) {
    test(what, () => {
      const play = new GroupPlay();
      play.join("a", { rebalanceTimeoutMs: askedMs });
      assert.equal(play.state.members.get("a")?.rebalanceTimeoutMs, keptMs);
    });
  }
});
