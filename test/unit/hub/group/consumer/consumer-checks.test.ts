import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  checkConsumerCommit,
  checkConsumerFetch,
  checkConsumerOffsetDelete,
} from "../../../../../hub/group/consumer/consumer-checks.ts";
import type { CommitRequest } from "../../../../../hub/group/groups.ts";
import { ConsumerPlay } from "./consumer-play.ts";

/** a owns t 0 1 in epoch 2, of them 0 and 1 since epoch 1; b owns t 2 3 since epoch 2. */
function pair(): ConsumerPlay {
  const play = new ConsumerPlay();
  play.join("a");
  play.join("b");
  play.settle();
  return play;
}

function commit(play: ConsumerPlay, fields: Partial<CommitRequest>, partition = 0): string {
  const request = { group: "g", generation: 2, memberId: "a", instanceId: null, knowsMemberEpochs: true, offsets: [] };
  const verdict = checkConsumerCommit(play.state, { ...request, ...fields }, play.catalog);
  return typeof verdict === "string" ? verdict : (verdict("t", partition) ?? "ok");
}

suite("commit", () => {
  test("in the member's epoch, of whatever partition", () => {
    assert.deepEqual([commit(pair(), {}), commit(pair(), {}, 3)], ["ok", "ok"]);
  });

  test("in a former epoch: of what it has owned all the time since", () => {
    const play = pair();
    assert.equal(commit(play, { generation: 1 }, 1), "ok");
    assert.equal(commit(play, { generation: 1 }, 3), "STALE_MEMBER_EPOCH", "not its own");
    assert.equal(commit(play, { memberId: "b", generation: 1 }, 2), "STALE_MEMBER_EPOCH", "its own since later");
  });

  test("while it revokes: what it has to give up is still its own", () => {
    const play = new ConsumerPlay();
    play.join("a");
    play.join("b");
    play.heartbeat({ memberId: "a", epoch: 1 });
    assert.equal(commit(play, { generation: 1 }, 3), "ok");
  });

  test("an epoch that is to come, or none", () => {
    assert.equal(commit(pair(), { generation: 3 }), "STALE_MEMBER_EPOCH");
    assert.equal(commit(pair(), { generation: -1 }), "STALE_MEMBER_EPOCH");
  });

  test("a stranger; somebody outside the group; both are let in when it is empty", () => {
    const play = pair();
    assert.equal(commit(play, { memberId: "x" }), "UNKNOWN_MEMBER_ID");
    assert.equal(commit(play, { memberId: "", generation: -1 }), "UNKNOWN_MEMBER_ID");
    play.leave("a");
    play.leave("b");
    assert.equal(commit(play, { memberId: "", generation: -1 }), "ok");
    assert.equal(commit(play, {}), "UNKNOWN_MEMBER_ID");
  });

  test("before OffsetCommit v9 clients do not know member epochs", () => {
    assert.equal(commit(pair(), { knowsMemberEpochs: false }), "UNSUPPORTED_VERSION");
  });

  test("a topic that is not there, in a former epoch", () => {
    const play = pair();
    play.catalog = new Map();
    assert.equal(commit(play, { generation: 1 }), "STALE_MEMBER_EPOCH");
  });

  test("a group that is being deleted", () => {
    const play = pair();
    play.state = { ...play.state, isDead: true };
    assert.equal(commit(play, {}), "COORDINATOR_NOT_AVAILABLE");
    assert.equal(checkConsumerOffsetDelete(play.state), "GROUP_ID_NOT_FOUND");
  });
});

test("fetch: members in their epoch, and whoever does not say that he is one", () => {
  const { state } = pair();
  const fetch = (memberId: string | null, memberEpoch: number) => checkConsumerFetch(state, { memberId, memberEpoch });
  assert.equal(fetch(null, -1), null);
  assert.equal(fetch("a", 2), null);
  assert.equal(fetch("a", 1), "STALE_MEMBER_EPOCH");
  assert.equal(fetch("x", 2), "UNKNOWN_MEMBER_ID");
  assert.equal(fetch(null, 2), "UNKNOWN_MEMBER_ID");
});

test("deletion of offsets: not of topics that members read, by name or by expression", () => {
  const play = new ConsumerPlay({ t: 1, u: 1, v: 1 });
  play.join("a", { subscribedNames: ["t", "later"], subscribedRegex: "u" });
  const verdict = checkConsumerOffsetDelete(play.state);
  assert.ok(typeof verdict !== "string");
  assert.deepEqual([...verdict.inUse].toSorted(), ["later", "t", "u"]);
});
