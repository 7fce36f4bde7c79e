import assert from "node:assert/strict";
import { test } from "node:test";
import {
  emptyConsumerGroup,
  openConsumerDraft,
  type ConsumerDraft,
  type ConsumerMember,
} from "../../../../../hub/group/consumer/consumer-state.ts";
import { preferredAssignor, refreshTopics, subscribedIds } from "../../../../../hub/group/consumer/subscriptions.ts";
import { catalogOf, ConsumerPlay, limits } from "./consumer-play.ts";

const everything = (): boolean => true;

function memberWith(fields: Partial<ConsumerMember>): ConsumerMember {
  const play = new ConsumerPlay();
  play.join("a");
  return { ...play.member("a"), ...fields };
}

/** A group of one, in a world whose expressions match what `matches` says. */
function draftOf(member: ConsumerMember, matches: Readonly<Record<string, readonly string[]>> = {}): ConsumerDraft {
  const world = { catalog: catalogOf({ t: 2, u: 2 }), matching: (regex: string) => matches[regex] };
  const draft = openConsumerDraft(emptyConsumerGroup(0), { limits, world });
  draft.members.set(member.memberId, member);
  return draft;
}

test("only topics that exist are subscribed; the same ones again are no change", () => {
  const member = memberWith({ subscribedNames: ["t", "missing"] });
  const draft = draftOf(member);
  assert.equal(refreshTopics(draft, everything), true);
  assert.deepEqual([...subscribedIds(draft, member)], ["id-t"]);
  assert.equal(refreshTopics(draft, everything), false);
});

test("an expression whose topics are not known yet has none, and the next heartbeat looks again", () => {
  const member = memberWith({ subscribedNames: [], subscribedRegex: "t|u" });
  const draft = draftOf(member);
  refreshTopics(draft, everything);
  assert.deepEqual([draft.topics.size, draft.catalog], [0, null]);
  const known = draftOf(member, { "t|u": ["t", "u"] });
  assert.equal(refreshTopics(known, everything), true);
  assert.deepEqual([...subscribedIds(known, member)], ["id-t", "id-u"]);
  assert.equal(known.catalog, known.world.catalog);
});

test("what was known of an expression stands until something newer is known", () => {
  const member = memberWith({ subscribedNames: [], subscribedRegex: "t|u" });
  const draft = draftOf(member);
  draft.matches = new Map([["t|u", ["t"]]]);
  refreshTopics(draft, everything);
  assert.deepEqual([...subscribedIds(draft, member)], ["id-t"]);
  assert.equal(draft.catalog, null);
});

test("expressions that nobody has any more are forgotten", () => {
  const draft = draftOf(memberWith({ subscribedNames: ["t"] }));
  draft.matches = new Map([["u.*", ["u"]]]);
  refreshTopics(draft, everything);
  assert.deepEqual([...draft.matches.keys()], []);
});

test("the assignor is that of most; of two the one asked for first; uniform when nobody asks", () => {
  const choose = (...names: (string | null)[]) => preferredAssignor(names.map((assignor) => memberWith({ assignor })));
  assert.equal(choose("range", "uniform", "uniform"), "uniform");
  assert.equal(choose("range", "uniform"), "range");
  assert.equal(choose(null, "range", null), "range");
  assert.equal(choose(null, null), "uniform");
});
