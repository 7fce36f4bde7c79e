import assert from "node:assert/strict";
import { test } from "node:test";
import { describeConsumerGroup, listConsumerGroup } from "../../../../../hub/group/consumer/consumer-describe.ts";
import { ConsumerPlay } from "./consumer-play.ts";

test("a member shows what it owns and what it shall own", () => {
  const play = new ConsumerPlay();
  play.join("a", { instanceId: "one", rackId: "r", clientHost: "/10.0.0.7" });
  play.join("b", { subscribedNames: null, subscribedRegex: "t" });
  const { members, ...group } = describeConsumerGroup("g", play.state);
  assert.deepEqual(group, { group: "g", state: "Reconciling", epoch: 2, assignmentEpoch: 2, assignor: "uniform" });
  assert.deepEqual(members, [
    {
      memberId: "a",
      instanceId: "one",
      rackId: "r",
      epoch: 1,
      clientId: "client",
      clientHost: "/10.0.0.7",
      subscribedNames: ["t"],
      subscribedRegex: null,
      assignment: [{ topicId: "id-t", partitions: [0, 1, 2, 3] }],
      target: [{ topicId: "id-t", partitions: [0, 1] }],
    },
    {
      memberId: "b",
      instanceId: null,
      rackId: null,
      epoch: 2,
      clientId: "client",
      clientHost: "/127.0.0.1",
      subscribedNames: [],
      subscribedRegex: "t",
      assignment: [],
      target: [{ topicId: "id-t", partitions: [2, 3] }],
    },
  ]);
});

test("states: from empty over reconciling to stable, assigning when members are gone, dead when deleted", () => {
  const play = new ConsumerPlay();
  const states = [play.phase];
  play.join("a");
  states.push(play.phase);
  play.join("b");
  states.push(play.phase);
  play.settle();
  play.leave("b");
  states.push(play.phase);
  play.leave("a");
  states.push(play.phase);
  play.delete();
  states.push(play.phase);
  assert.deepEqual(states, ["Empty", "Stable", "Reconciling", "Assigning", "Empty", "Dead"]);
});

test("a group is listed with its type and the number of its members", () => {
  const play = new ConsumerPlay();
  play.join("a");
  const listed = { group: "g", type: "consumer", protocolType: "consumer", state: "Stable", memberCount: 1 };
  assert.deepEqual(listConsumerGroup("g", play.state), listed);
});
