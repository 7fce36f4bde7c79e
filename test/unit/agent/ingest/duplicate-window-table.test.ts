import assert from "node:assert/strict";
import { test } from "node:test";
import { ClientTable, PROVEN_AFTER, SLOT_COUNT } from "../../../../agent/ingest/duplicate-window-table.ts";

const isAnswered = (): boolean => false;

/** A client that counts its identifiers up; all its messages have the same content. */
function counting(first: number, last: number, digest = 9): ClientTable {
  const table = new ClientTable("c", 1);
  for (let id = first; id <= last; id++) table.add(id, digest, id, false);
  return table;
}

test("duplicate window table: the last 128 messages of a client that counts up are found, older ones are not", () => {
  const table = new ClientTable("c", 1);
  for (let id = 1001; id <= 1200; id++) table.add(id, id, id, false);
  for (let id = 1001; id <= 1072; id++) assert.equal(table.find(id, id, isAnswered), undefined, `id ${id}`);
  for (let id = 1073; id <= 1200; id++) assert.equal(table.find(id, id, isAnswered), id);
});

test("duplicate window table: other content or another identifier is another message", () => {
  const table = counting(1, 40);
  assert.equal(table.find(40, 9, isAnswered), 40);
  assert.equal(table.find(40, 8, isAnswered), undefined);
  assert.equal(table.find(40 + SLOT_COUNT, 9, isAnswered), undefined);
});

test("duplicate window table: an entry that survived 128 later messages in its slot is not believed", () => {
  const table = counting(993, 1007);
  // Identifiers that never fall into its slot.
  for (let index = 0; index < SLOT_COUNT; index++) table.add(1008 + SLOT_COUNT * index, index, 2, false);
  assert.equal(table.find(1007, 9, isAnswered), undefined);
});

test(`duplicate window table: nothing is believed before ${PROVEN_AFTER} messages without an identifier twice`, () => {
  const table = counting(500, 500 + PROVEN_AFTER - 2);
  assert.equal(table.find(500, 9, isAnswered), undefined);
  table.add(500 + PROVEN_AFTER - 1, 9, 1, false);
  assert.equal(table.find(500, 9, isAnswered), 500);
});

test("duplicate window table: a message without an answer is the same whatever its identifier, in its session", () => {
  const table = counting(1, 3);
  const isUnanswered = (commit: number): boolean => commit > 1;
  assert.deepEqual(
    [1, 2, 3].map((id) => table.find(id, 9, isUnanswered)),
    [undefined, 2, 3],
  );
  assert.equal(table.find(3, 8, isUnanswered), undefined);
  table.isNewSession = true;
  assert.equal(table.find(3, 9, isUnanswered), undefined);
});

test("duplicate window table: identifier x is believed while at most half of x - 2 messages came after it", () => {
  const table = counting(1, 20);
  const believed = Array.from({ length: 20 }, (_, index) => index + 1).filter(
    (id) => table.find(id, 9, isAnswered) !== undefined,
  );
  assert.deepEqual(believed, [14, 15, 16, 17, 18, 19, 20]);
});

test("duplicate window table: a client that uses an identifier again too early is not believed from then on", () => {
  const table = counting(100, 150);
  assert.equal(table.add(120, 7, 1, false), false);
  assert.equal(table.isClosed, true);
  assert.equal(table.find(150, 9, isAnswered), undefined);
});

test("duplicate window table: what may be a repetition and is not believed ages the entry, and proves nothing", () => {
  const table = counting(1, 20);
  assert.equal(table.find(12, 9, isAnswered), undefined);
  assert.equal(table.add(12, 9, 77, true), true);
  assert.equal(table.isClosed, false);
  assert.equal(table.find(14, 9, isAnswered), undefined, "one message older");
  assert.equal(table.find(15, 9, isAnswered), 15);
  assert.equal(table.add(12, 8, 78, true), false, "other content is a new message");

  // A program that gives all its messages one identifier, whose first attempts are all lost on the way.
  const constant = counting(1000, 1000);
  for (let commit = 0; commit < 3 * PROVEN_AFTER; commit++) {
    assert.equal(constant.find(1000, 9, isAnswered), undefined);
    constant.add(1000, 9, commit, true);
  }
});

test("duplicate window table: messages that are not remembered count as messages, and their identifiers too", () => {
  const table = counting(1, 20);
  for (let id = 21; id <= 26; id++) table.pass(id);
  assert.equal(table.find(14, 9, isAnswered), undefined);
  assert.equal(table.find(20, 9, isAnswered), 20);
  assert.equal(table.pass(20), false);
  assert.equal(table.find(19, 9, isAnswered), undefined);
});

test("duplicate window table: a client that begins anew is believed in what follows, and was odd only before", () => {
  const table = counting(100, 150);
  table.beginAnew();
  assert.equal(table.find(150, 9, isAnswered), undefined);
  table.add(150, 9, 1, false);
  assert.equal(table.find(150, 9, isAnswered), 1);
  table.add(150, 9, 2, false);
  table.beginAnew();
  assert.equal(table.isClosed, false);
  for (let id = 300; id < 300 + PROVEN_AFTER; id++) {
    assert.equal(table.find(id - 1, 9, isAnswered), undefined);
    table.add(id, 9, id, false);
  }
  assert.equal(table.find(300, 9, isAnswered), 300);
});

test("duplicate window table: a commit that failed is forgotten, others stay", () => {
  const table = counting(100, 150);
  assert.equal(table.forget(149), false);
  assert.equal(table.find(149, 9, isAnswered), undefined);
  assert.equal(table.find(150, 9, isAnswered), 150);
  // Sent again after the failure: new, and no identifier used twice.
  assert.equal(table.add(149, 9, 200, false), true);
  assert.equal(table.find(149, 9, isAnswered), 200);
});
