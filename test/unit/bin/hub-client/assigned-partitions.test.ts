import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatAssigned, formatMove } from "../../../../bin/hub-client/assigned-partitions.ts";

const orders = (...partitions: number[]) => [{ topic: "orders", partitions }];

suite("assigned partitions as text", () => {
  for (const [partitions, text] of [
    [[0], "orders 0"],
    [[0, 1], "orders 0-1"],
    [[3, 1, 2, 7, 0], "orders 0-3,7"],
    [[0, 2, 4], "orders 0,2,4"],
    [[10, 9, 2], "orders 2,9-10"],
  ] as const) {
    test(`${partitions.join(" ")} is ${text}`, () => {
      assert.equal(formatAssigned(orders(...partitions)), text);
    });
  }

  test("topics stand in the order of their names, without those of which there is nothing", () => {
    const topics = [...orders(1), { topic: "idle", partitions: [] }, { topic: "events", partitions: [0, 1] }];
    assert.equal(formatAssigned(topics), "events 0-1; orders 1");
  });

  test("nothing at all is a dash", () => {
    assert.equal(formatAssigned([]), "-");
    assert.equal(formatAssigned(orders()), "-");
  });

  test("an arrow leads to what the member will have, unless it has it", () => {
    assert.equal(formatMove(orders(0, 1), orders(1, 0)), "orders 0-1");
    assert.equal(formatMove(orders(0, 1), orders(1)), "orders 0-1 → orders 1");
    assert.equal(formatMove([], orders(0)), "- → orders 0");
  });
});
