import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { checkCommit, checkGroupId, checkHeartbeat, checkOffsetDelete } from "../../../../hub/group/checks.ts";
import { completingGroup, GroupPlay, preparingGroup, stableGroup } from "./group-play.ts";

const one = { fields: { a: { instanceId: "one" } } };

function dead(): GroupPlay {
  const play = new GroupPlay();
  play.delete();
  return play;
}

const groups = {
  Empty: () => new GroupPlay(),
  Preparing: () => preparingGroup(["a", "b"], one),
  Completing: () => completingGroup(["a", "b"], one),
  Stable: () => stableGroup(["a", "b"], one),
  Dead: dead,
};
type Phase = keyof typeof groups;

/** Who asks, and with which generation: those of the preparing, completing and stable groups here are all in their first. */
type Asker = { readonly memberId: string; readonly instanceId: string | null; readonly generation: number };

const askers = {
  "a member": { memberId: "b", instanceId: null, generation: 1 },
  "a static member": { memberId: "a", instanceId: "one", generation: 1 },
  "a static member without its instance id": { memberId: "a", instanceId: null, generation: 1 },
  "a member of another generation": { memberId: "b", instanceId: null, generation: 0 },
  "a stranger": { memberId: "stranger", instanceId: null, generation: 0 },
  "nobody (librdkafka after an expulsion)": { memberId: "", instanceId: null, generation: 1 },
  "an unknown instance": { memberId: "a", instanceId: "other", generation: 1 },
  "an instance that another id holds": { memberId: "older a", instanceId: "one", generation: 0 },
  "a simple consumer": { memberId: "", instanceId: null, generation: -1 },
} as const satisfies Record<string, Asker>;
type AskerName = keyof typeof askers;

type Row = readonly [AskerName, Readonly<Record<Phase, string>>];
const anyPhase = (error: string): Readonly<Record<Phase, string>> => ({
  Empty: "UNKNOWN_MEMBER_ID",
  Preparing: error,
  Completing: error,
  Stable: error,
  Dead: "COORDINATOR_NOT_AVAILABLE",
});

function check(
  title: string,
  rows: readonly Row[],
  ask: (play: GroupPlay, asker: Asker) => ReturnType<typeof checkHeartbeat>,
) {
  suite(title, () => {
    for (const [who, byPhase] of rows) {
      for (const [phase, expected] of Object.entries(byPhase) as [Phase, string][]) {
        test(`${phase}, ${who} -> ${expected}`, () => {
          const { error, alive } = ask(groups[phase](), askers[who]);
          assert.equal(error ?? "ok", expected);
          const isHeard = expected === "ok" || expected === "REBALANCE_IN_PROGRESS";
          if (!isHeard) assert.equal(alive, null, "only a member of this generation is kept alive");
        });
      }
    }
  });
}

const memberHeartbeat = { ...anyPhase("ok"), Preparing: "REBALANCE_IN_PROGRESS" };
const heartbeats: readonly Row[] = [
  ["a member", memberHeartbeat],
  ["a static member", memberHeartbeat],
  ["a static member without its instance id", memberHeartbeat],
  ["a member of another generation", anyPhase("ILLEGAL_GENERATION")],
  ["a stranger", anyPhase("UNKNOWN_MEMBER_ID")],
  ["nobody (librdkafka after an expulsion)", anyPhase("UNKNOWN_MEMBER_ID")],
  ["an unknown instance", anyPhase("UNKNOWN_MEMBER_ID")],
  ["an instance that another id holds", anyPhase("FENCED_INSTANCE_ID")],
];
check("heartbeat", heartbeats, (play, asker) => checkHeartbeat(play.state, { group: "g", ...asker }));

const memberCommit = { ...anyPhase("ok"), Completing: "REBALANCE_IN_PROGRESS" };
const commits: readonly Row[] = [
  ["a member", memberCommit],
  ["a static member", memberCommit],
  ["a static member without its instance id", memberCommit],
  ["a member of another generation", anyPhase("ILLEGAL_GENERATION")],
  ["a stranger", anyPhase("UNKNOWN_MEMBER_ID")],
  ["nobody (librdkafka after an expulsion)", anyPhase("UNKNOWN_MEMBER_ID")],
  ["an unknown instance", anyPhase("UNKNOWN_MEMBER_ID")],
  ["an instance that another id holds", anyPhase("FENCED_INSTANCE_ID")],
  ["a simple consumer", { ...anyPhase("UNKNOWN_MEMBER_ID"), Empty: "ok" }],
];
check("commit", commits, (play, asker) =>
  checkCommit(play.state, { group: "g", offsets: [], knowsMemberEpochs: true, ...asker }),
);

suite("signs of life", () => {
  test("a heartbeat keeps the member alive, also while it is told to rejoin", () => {
    for (const phase of ["Preparing", "Completing", "Stable"] as const) {
      const { alive } = checkHeartbeat(groups[phase]().state, { group: "g", ...askers["a member"] });
      assert.equal(alive?.memberId, "b");
    }
  });

  test("a commit keeps the member alive where it is accepted", () => {
    for (const phase of ["Preparing", "Stable"] as const) {
      const { alive } = checkCommit(groups[phase]().state, {
        group: "g",
        offsets: [],
        knowsMemberEpochs: true,
        ...askers["a member"],
      });
      assert.equal(alive?.memberId, "b");
    }
  });
});

suite("deletion of offsets", () => {
  /** Golden: version 1, topics ["readings"], no user data, no owned partitions. */
  const subscription = Buffer.from("000100000001000872656164696e6773ffffffff00000000", "hex");

  test("an empty group: nothing is in use", () => {
    assert.deepEqual(checkOffsetDelete(new GroupPlay().state), { inUse: new Set() });
  });

  test("consumers: what they subscribe to is in use", () => {
    const fields = { a: { protocols: [{ name: "range", metadata: subscription }] } };
    assert.deepEqual(checkOffsetDelete(stableGroup(["a"], { fields }).state), { inUse: new Set(["readings"]) });
  });

  test("consumers whose subscription cannot be read: everything is in use", () => {
    const fields = { a: { protocols: [{ name: "range", metadata: Buffer.from("?") }] } };
    assert.deepEqual(checkOffsetDelete(stableGroup(["a"], { fields }).state), { inUse: "all" });
  });

  test("members of another protocol type -> NON_EMPTY_GROUP", () => {
    const { state } = stableGroup(["a"], { fields: { a: { protocolType: "connect" } } });
    assert.equal(checkOffsetDelete(state), "NON_EMPTY_GROUP");
  });

  test("a dead group -> GROUP_ID_NOT_FOUND", () => {
    assert.equal(checkOffsetDelete(dead().state), "GROUP_ID_NOT_FOUND");
  });
});

test("group ids have 1 to 249 characters", () => {
  assert.deepEqual(["", "g", "g".repeat(249), "g".repeat(250)].map(checkGroupId), [
    "INVALID_GROUP_ID",
    null,
    null,
    "INVALID_GROUP_ID",
  ]);
});
