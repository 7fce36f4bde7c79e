import assert from "node:assert/strict";
import test from "node:test";
import { Drops } from "../../../../agent/ingest/drops.ts";

const place = { topic: "t", partition: 1, logEndOffset: 7 };

test("drops: they add up by partition and reason, and come before what the partition holds when they are listed", () => {
  const drops = new Drops();
  const moving = { ...place };
  assert.ok(drops.isEmpty);
  drops.add(moving, "overflow");
  drops.add(moving, "overflow", { records: 2, unanswered: 2 });
  drops.add(moving, "overload");
  moving.logEndOffset = 9;
  assert.ok(!drops.isEmpty);
  const at = { topic: "t", partition: 1, at: 9 };
  assert.deepEqual(drops.list(), [
    { ...at, reason: "overflow", records: 3 },
    { ...at, reason: "overload", records: 1 },
  ]);
});

test("drops: of a commit that failed only those stay that were answered already", () => {
  const failed = new Drops();
  failed.add(place, "overflow", { records: 5, unanswered: 2 });
  failed.add(place, "overload", { records: 1 });
  const next = new Drops();
  next.absorbUnanswered(failed);
  assert.deepEqual(
    next.list().map(({ reason, records }) => [reason, records]),
    [["overflow", 2]],
  );
});
