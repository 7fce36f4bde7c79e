import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { silentLogger } from "../../../../shared/logger.ts";
import type { OffsetToCommit } from "../../../../hub/group/groups.ts";
import { CommittedOffsets } from "../../../../hub/group/offsets.ts";
import { settled, VirtualTimers } from "../../../support/virtual-timers.ts";
import { FakeGroupEngine } from "./group-engine.ts";

const at = { topic: "readings", partition: 0 };

function offset(value: number, fields: Partial<OffsetToCommit> = {}): OffsetToCommit {
  return { ...at, offset: value, leaderEpoch: 0, metadata: null, ...fields };
}

async function open(engine = new FakeGroupEngine()) {
  const clock = new VirtualTimers();
  const offsets = await CommittedOffsets.open({ engine, clock, logger: silentLogger() });
  const committed = () => offsets.of("g").get(at.topic)?.get(at.partition)?.offset;
  return { engine, clock, offsets, committed };
}

test("a commit is kept with its metadata, leader epoch and time", async () => {
  const { offsets, clock, engine } = await open();
  const results = await offsets.commit("g", [offset(42, { metadata: "note", leaderEpoch: 3 })]);
  assert.deepEqual(results, [null]);
  const position = { offset: 42, leaderEpoch: 3, metadata: "note", committedAt: clock.wallMs() };
  assert.deepEqual(offsets.of("g"), new Map([["readings", new Map([[0, position]])]]));
  const { offsets: reopened } = await open(engine);
  assert.deepEqual(reopened.of("g"), offsets.of("g"), "and it is there again after a restart");
});

suite("each offset is checked for itself", () => {
  const rows: readonly (readonly [string, OffsetToCommit, string | null])[] = [
    ["a topic and partition that exist", offset(1), null],
    ["an unknown topic", offset(1, { topic: "nothing" }), "UNKNOWN_TOPIC_OR_PARTITION"],
    ["a partition after the last", offset(1, { partition: 4 }), "UNKNOWN_TOPIC_OR_PARTITION"],
    ["a negative partition", offset(1, { partition: -1 }), "UNKNOWN_TOPIC_OR_PARTITION"],
    ["as much metadata as allowed", offset(1, { metadata: "é".repeat(2048) }), null],
    ["too much metadata", offset(1, { metadata: "é".repeat(2048) + "." }), "OFFSET_METADATA_TOO_LARGE"],
  ];
  for (const [what, toCommit, error] of rows) {
    test(`${what} -> ${error ?? "committed"}`, async () => {
      const { offsets } = await open();
      assert.deepEqual(await offsets.commit("g", [toCommit, offset(7, { partition: 3 })]), [error, null]);
      assert.equal(offsets.of("g").get("readings")?.get(3)?.offset, 7, "the others are not kept from being committed");
    });
  }

  test("nothing that passes: the disk is left alone", async () => {
    const { offsets, engine } = await open();
    await offsets.commit("g", [offset(1, { topic: "nothing" })]);
    assert.deepEqual([engine.writeCount, offsets.has("g")], [0, false]);
  });
});

test("a position is visible, and its sender answered, only when it is durable", async () => {
  const { offsets, engine, committed } = await open();
  await offsets.commit("g", [offset(1)]);
  const release = engine.hold();
  let isAnswered = false;
  const commit = offsets.commit("g", [offset(2)]).then(() => (isAnswered = true));
  await settled();
  assert.deepEqual([committed(), isAnswered], [1, false]);
  release();
  await commit;
  assert.equal(committed(), 2);
});

test("commits become visible in the order of the calls, even if the engine answers in another", async () => {
  const { offsets, engine, committed } = await open();
  const release = engine.hold();
  const commits = [offsets.commit("g", [offset(1)]), offsets.commit("g", [offset(2)])];
  release("newest-first");
  await Promise.all(commits);
  assert.equal(committed(), 2);
});

test("a failed commit is answered with an error, changes nothing, and does not hold up the next", async () => {
  const { offsets, engine, committed } = await open();
  await offsets.commit("g", [offset(1)]);
  engine.isFailing = true;
  const unknown = offset(2, { topic: "nothing" });
  const failed = await offsets.commit("g", [offset(2), unknown]);
  assert.deepEqual([failed, committed()], [["COORDINATOR_NOT_AVAILABLE", "UNKNOWN_TOPIC_OR_PARTITION"], 1]);
  engine.isFailing = false;
  assert.deepEqual(await offsets.commit("g", [offset(3)]), [null]);
  assert.equal(committed(), 3);
});

suite("deletion", () => {
  test("removes the position from the disk and from the view; the group without positions is gone", async () => {
    const { offsets, engine } = await open();
    await offsets.commit("g", [offset(1), offset(1, { partition: 1 })]);
    assert.ok(await offsets.delete("g", [at]));
    assert.deepEqual([...(offsets.of("g").get("readings")?.keys() ?? [])], [1]);
    assert.ok(await offsets.delete("g", [{ topic: "readings", partition: 1 }, at]));
    assert.deepEqual([offsets.has("g"), engine.disk.offsets.get("g")?.size], [false, 0]);
  });

  test("that fails changes nothing", async () => {
    const { offsets, engine, committed } = await open();
    await offsets.commit("g", [offset(1)]);
    engine.isFailing = true;
    assert.equal(await offsets.delete("g", [at]), false);
    assert.equal(committed(), 1);
  });

  test("of what was never committed is no work for the disk", async () => {
    const { offsets, engine } = await open();
    assert.ok(await offsets.delete("g", [at]));
    assert.equal(engine.writeCount, 0);
  });

  test("of a topic takes its positions only", async () => {
    const { offsets } = await open();
    await offsets.commit("g", [offset(1), offset(2, { topic: "alarms" })]);
    await offsets.forgetTopic("g", "readings");
    assert.deepEqual([...offsets.of("g").keys()], ["alarms"]);
  });
});
