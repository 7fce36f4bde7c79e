import assert from "node:assert/strict";
import { test } from "node:test";
import {
  closeConsumerDraft,
  emptyConsumerGroup,
  openConsumerDraft,
  ownedSince,
} from "../../../../../hub/group/consumer/consumer-state.ts";
import { catalogOf, ConsumerPlay, limits } from "./consumer-play.ts";

const world = { catalog: catalogOf({}), matching: () => undefined };

test("a draft that nothing has changed persists nothing; a changed one goes to disk before all else", () => {
  const draft = openConsumerDraft(emptyConsumerGroup(3), { limits, world });
  assert.deepEqual(closeConsumerDraft(draft).effects, []);
  draft.effects.push({ type: "answer-delete", to: 1, result: null });
  draft.isChanged = true;
  assert.deepEqual(
    closeConsumerDraft(draft).effects.map(({ type }) => type),
    ["persist", "answer-delete"],
  );
});

test("a restored group knows its static members, and forgets what it may not know any more", () => {
  const play = new ConsumerPlay();
  play.join("a", { instanceId: "one" });
  play.restart();
  assert.deepEqual([...play.state.staticMembers], [["one", "a"]]);
  assert.deepEqual([play.state.catalog, play.state.isDead, play.timers.get("session a")], [null, false, 45_000]);
});

test("a partition is owned since the epoch in which it was given, also while it is given up", () => {
  const play = new ConsumerPlay();
  play.join("a");
  play.join("b");
  play.heartbeat({ memberId: "a", epoch: 1 });
  const since = [0, 3, 4].map((partition) => ownedSince(play.member("a"), "id-t", partition));
  assert.deepEqual(since, [1, 1, undefined]);
});
