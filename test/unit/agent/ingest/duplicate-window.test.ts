import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DUPLICATE_CLIENTS_MAX, DuplicateWindow } from "../../../../agent/ingest/duplicate-window.ts";

test("duplicate window: a message sent again is found with its commit", () => {
  const window = new DuplicateWindow();
  window.add("c", 7, 0xdead, 42);
  assert.equal(window.find("c", 7, 0xdead), 42);
  assert.equal(window.find("c", 7, 0xdead), 42);
});

test("duplicate window: other content, another id or another client is another message", () => {
  const window = new DuplicateWindow();
  window.add("c", 7, 0xdead, 42);
  assert.equal(window.find("c", 7, 0xbeef), undefined);
  assert.equal(window.find("c", 8, 0xdead), undefined);
  assert.equal(window.find("c", 7 + 128, 0xdead), undefined);
  assert.equal(window.find("d", 7, 0xdead), undefined);
});

test("duplicate window: the last 128 messages of a client that counts up are found, older ones are not", () => {
  const window = new DuplicateWindow();
  for (let id = 1; id <= 200; id++) window.add("c", id, id, id);
  for (let id = 1; id <= 72; id++) assert.equal(window.find("c", id, id), undefined, `id ${id}`);
  for (let id = 73; id <= 200; id++) assert.equal(window.find("c", id, id), id);
});

test("duplicate window: an entry that survived 128 later messages in its slot is not believed", () => {
  const window = new DuplicateWindow();
  window.add("c", 7, 1, 1);
  // Identifiers that never fall into slot 7.
  for (let i = 0; i < 128; i++) window.add("c", 8 + 128 * i, i, 2);
  assert.equal(window.find("c", 7, 1), undefined);
});

test("duplicate window: a client that uses an id again is never again believed", () => {
  const window = new DuplicateWindow();
  window.add("c", 1, 1, 1);
  window.add("c", 1, 2, 2);
  assert.equal(window.find("c", 1, 2), undefined);
  window.add("c", 5, 5, 3);
  assert.equal(window.find("c", 5, 5), undefined);
});

test("duplicate window: a client that always takes id 1 loses no message from its second re-use on", () => {
  const window = new DuplicateWindow();
  for (let i = 0; i < 3; i++) window.add("c", 1, 99, i);
  // The next reading, its first attempt lost on the wire: DUP, same id, same bytes, and new.
  assert.equal(window.find("c", 1, 99), undefined);
});

test("duplicate window: a commit that failed is forgotten, others stay", () => {
  const window = new DuplicateWindow();
  window.add("c", 1, 1, 10);
  window.add("c", 2, 2, 11);
  window.forgetCommit(11);
  assert.equal(window.find("c", 1, 1), 10);
  assert.equal(window.find("c", 2, 2), undefined);
  // Sent again after the failure: new, and no re-use of an id.
  window.add("c", 2, 2, 12);
  assert.equal(window.find("c", 2, 2), 12);
});

test("duplicate window: beyond its limit of clients the one last heard of longest ago is forgotten", () => {
  const window = new DuplicateWindow();
  for (let i = 0; i < DUPLICATE_CLIENTS_MAX; i++) window.add(`c${i}`, 1, 1, 1);
  window.add("c0", 2, 2, 1);
  window.add("new", 1, 1, 1);
  assert.equal(window.clientCount, DUPLICATE_CLIENTS_MAX);
  assert.equal(window.find("c0", 1, 1), 1);
  assert.equal(window.find("c1", 1, 1), undefined);
});

test("duplicate window: whatever a client sends, only what was added under the same id and digest is found", () => {
  const message = fc.record({ id: fc.integer({ min: 1, max: 65_535 }), digest: fc.nat(3), isDup: fc.boolean() });
  fc.assert(
    fc.property(fc.array(message, { maxLength: 400 }), (messages) => {
      const window = new DuplicateWindow();
      const added = new Map<string, number>();
      messages.forEach(({ id, digest, isDup }, commit) => {
        const found = isDup ? window.find("c", id, digest) : undefined;
        if (found !== undefined) return assert.equal(found, added.get(`${id}:${digest}`));
        window.add("c", id, digest, commit);
        added.set(`${id}:${digest}`, commit);
      });
    }),
  );
});
