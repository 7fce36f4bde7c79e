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

const one: JoinFields = { instanceId: "one" };
const twoStatics = { fields: { a: one, b: { instanceId: "two" } } };

/** Each row is a cell of the JoinGroup table: a group, a join, the answer ("parked" if none yet), the phase after it. */
type Row = {
  readonly row: string;
  readonly given: () => GroupPlay;
  readonly join: JoinFields & { readonly as?: string };
  readonly answer: string;
  readonly phase: string;
  readonly also?: (play: GroupPlay, answer: ReturnType<GroupPlay["joined"]> | undefined) => void;
};

function deadGroup(): GroupPlay {
  const play = new GroupPlay();
  play.delete();
  return play;
}

const firstJoins: readonly Row[] = [
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

const rejoins: readonly Row[] = [
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

const staticReturns: readonly Row[] = [
  {
    row: "static follower, stable, v9: takes its place again, no rebalance",
    given: () => stableGroup(["a", "b"], twoStatics),
    join: { instanceId: "two", supportsSkippingAssignment: true, as: "b2" },
    answer: "ok",
    phase: "Stable",
    also(play, answer) {
      assert.deepEqual([answer?.memberId, answer?.generation, answer?.leader], ["b2", 1, "a"]);
      assert.deepEqual([answer?.skipAssignment, answer?.members], [false, []]);
      assert.deepEqual(play.memberIds, ["a", "b2"]);
      assert.equal(play.state.members.get("b2")?.assignment.toString(), "for b");
      assert.equal(play.sessionMs("b"), undefined);
      assert.equal(play.sessionMs("b2"), 10_000);
      assert.deepEqual(
        play.persisted.at(-1)?.members.map(({ memberId }) => memberId),
        ["a", "b2"],
      );
    },
  },
  {
    row: "static leader, stable, v9: leads on, sees the members, and does not assign (KIP-814)",
    given: () => stableGroup(["a", "b"], twoStatics),
    join: { ...one, supportsSkippingAssignment: true, as: "a2" },
    answer: "ok",
    phase: "Stable",
    also(play, answer) {
      assert.deepEqual([answer?.leader, answer?.skipAssignment], ["a2", true]);
      assert.deepEqual(
        answer?.members.map(({ memberId }) => memberId),
        ["a2", "b"],
      );
      assert.equal(play.persisted.at(-1)?.leaderId, "a2");
    },
  },
  {
    row: "static leader, stable, before v9: is told its former id leads, so that it acts as a follower",
    given: () => stableGroup(["a", "b"], twoStatics),
    join: { ...one, as: "a2" },
    answer: "ok",
    phase: "Stable",
    also: (_play, answer) =>
      assert.deepEqual([answer?.leader, answer?.skipAssignment, answer?.members], ["a", false, []]),
  },
  {
    row: "static, stable, and another protocol would be chosen: a rebalance",
    given: () => stableGroup(["a"], { fields: { a: one } }),
    join: { ...one, protocols: protocols("sticky"), as: "a2" },
    answer: "ok",
    phase: "CompletingRebalance",
    also(play, answer) {
      assert.deepEqual([answer?.generation, answer?.protocolName, answer?.leader], [2, "sticky", "a2"]);
      assert.deepEqual(
        play.persisted.at(-1)?.members.map(({ memberId }) => memberId),
        ["a2"],
        "known after a crash",
      );
      assert.equal(play.persisted.at(-1)?.generation, 1, "the last stable generation");
    },
  },
  {
    row: "static, assignments awaited: a rebalance, for the leader may have assigned to the former id",
    given: () => completingGroup(["a", "b"], twoStatics),
    join: { instanceId: "two", as: "b2" },
    answer: "parked",
    phase: "PreparingRebalance",
    also: (play) => assert.deepEqual(play.memberIds, ["a", "b2"]),
  },
  {
    row: "static, rebalance under way, the last to join: the next generation",
    given: () => preparingGroup(["a", "b"], twoStatics),
    join: { instanceId: "two", as: "b2" },
    answer: "ok",
    phase: "CompletingRebalance",
  },
  {
    row: "static, rebalance under way, others missing: is parked",
    given: () => preparingGroup(["a", "b", "c"], twoStatics),
    join: { instanceId: "two", as: "b2" },
    answer: "parked",
    phase: "PreparingRebalance",
  },
];

const refusals: readonly Row[] = [
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

const tables = {
  "first join": firstJoins,
  rejoin: rejoins,
  "return of a static member": staticReturns,
  "compatibility and size": refusals,
};
for (const [title, rows] of Object.entries(tables)) {
  suite(`join: ${title}`, () => {
    for (const { row, given, join, answer, phase, also } of rows) {
      test(`${row} -> ${answer}, ${phase}`, () => {
        const play = given();
        const { as = "new", ...fields } = join;
        const to = play.join(as, fields);
        assert.equal(play.outcome(to), answer);
        assert.equal(play.state.phase, phase);
        also?.(play, answer === "parked" ? undefined : play.joined(to));
      });
    }
  });
}

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
    ["too many protocols", { protocols: protocols(..."x".repeat(33)) }, "MESSAGE_TOO_LARGE"],
  ];
  for (const [what, fields, error] of rows) {
    test(`${what} -> ${error ?? "accepted"}`, () => {
      assert.equal(checkJoinRequest(joinRequest(fields), defaultGroupLimits), error);
    });
  }
});

suite("join: pending members (KIP-394)", () => {
  const pending = { requireKnownMemberId: true };

  test("coming back with the id ends the pending session: the healthy member is not expelled by it", () => {
    const play = new GroupPlay();
    play.join("a", pending);
    const to = play.rejoin("a", pending);
    assert.equal(play.outcome(to), "parked");
    assert.equal(play.sessionMs("a"), 300_000, "the newcomer's time, not the pending id's session timeout");
    play.expire("join");
    assert.equal(play.outcome(to), "ok");
    assert.equal(play.state.pendingMembers.size, 0);
  });

  test("a rebalance waits for pending members, and goes on when their session ends", () => {
    const play = preparingGroup(["a", "b"]);
    play.join("c", pending);
    const to = play.rejoin("b");
    assert.equal(play.outcome(to), "parked");
    play.expire({ session: "c" });
    assert.equal(play.outcome(to), "ok");
  });

  test("an id that was given up is unknown", () => {
    const play = stableGroup(["a"]);
    play.join("c", pending);
    play.expire({ session: "c" });
    assert.equal(play.outcome(play.rejoin("c", pending)), "UNKNOWN_MEMBER_ID");
  });

  test("a pending id with an instance id is none: static members are never pending", () => {
    const play = stableGroup(["a"]);
    play.join("c", pending);
    assert.equal(play.outcome(play.rejoin("c", { ...pending, instanceId: "one" })), "UNKNOWN_MEMBER_ID");
  });

  test("too many pending ids: the oldest is given up for the newest", () => {
    const play = new GroupPlay({ membersMax: 2 });
    for (const name of ["a", "b", "c"]) play.join(name, pending);
    assert.deepEqual([...play.state.pendingMembers], ["b", "c"]);
    assert.equal(play.sessionMs("a"), undefined);
  });

  test("a pending id that finds the group full is refused, and the rebalance no longer waits for it", () => {
    const play = preparingGroup(["a", "b"], { limits: { membersMax: 3 } });
    play.join("c", pending);
    play.join("d");
    const last = play.rejoin("b");
    assert.equal(play.outcome(last), "parked");
    assert.equal(play.outcome(play.rejoin("c", pending)), "GROUP_MAX_SIZE_REACHED");
    assert.equal(play.outcome(last), "ok");
  });
});

suite("join: parked requests", () => {
  test("a second join of a parked member: the first is answered, the second parked", () => {
    const play = preparingGroup(["a", "b"]);
    const first = play.rejoin("a");
    const second = play.rejoin("a");
    assert.equal(play.outcome(first), "REBALANCE_IN_PROGRESS");
    assert.equal(play.outcome(second), "parked");
    play.rejoin("b");
    assert.equal(play.outcome(second), "ok");
  });

  test("a static member comes back while its former process has a join parked: that one is fenced", () => {
    const play = preparingGroup(["a", "b", "c"], twoStatics);
    const former = play.rejoin("b", { instanceId: "two" });
    play.join("b2", { instanceId: "two" });
    assert.equal(play.outcome(former), "FENCED_INSTANCE_ID");
  });

  test("a static member comes back while its former process has a sync parked: that one is fenced", () => {
    const play = completingGroup(["a", "b"], twoStatics);
    const former = play.sync("b", { instanceId: "two" });
    play.join("b2", { instanceId: "two" });
    assert.equal(play.outcome(former), "FENCED_INSTANCE_ID");
  });

  test("a returned static member may sync under its new id although nobody had synced under the old one", () => {
    const play = completingGroup(["a", "b"], twoStatics);
    play.sync("a", { instanceId: "one", assign: { a: "for a", b: "for b" } });
    play.join("b2", { instanceId: "two" });
    assert.deepEqual([...play.state.pendingSync], ["b2"]);
    assert.equal(play.synced(play.sync("b2", { instanceId: "two" })).assignment.toString(), "for b");
    assert.ok(!play.timers.has("sync"));
  });

  test("a returned static newcomer keeps the newcomer's time: it cannot heartbeat while parked", () => {
    const play = new GroupPlay();
    play.join("a", one);
    play.join("a2", one);
    assert.equal(play.sessionMs("a2"), 300_000);
  });
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
