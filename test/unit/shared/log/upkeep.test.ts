import assert from "node:assert/strict";
import { test } from "node:test";
import type { CommitOperation } from "../../../../shared/log/log-messages.ts";
import type { ExtensionCall } from "../../../../shared/log/partitioned-log.ts";
import { Upkeep } from "../../../../shared/log/upkeep.ts";

const none = (): undefined => undefined;
const books = { name: "books", schema: "", upkeep: ["settle"], prepare: () => ({ settle: none, put: none }) };
const methods = new Map([["books", books.prepare()]]);
const callOf = (method: string): ExtensionCall => ({ extension: "books", method, args: undefined });
const called = (method: string, part?: number): CommitOperation => ({
  type: "call",
  call: callOf(method),
  ...(part === undefined ? {} : { part }),
});

test("upkeep: what frees, and the methods that an extension names", () => {
  const upkeep = new Upkeep([books], methods);
  const trim = (...calls: ExtensionCall[]): CommitOperation => ({ type: "trim", partitionId: 1, before: 5, calls });
  const operations = [trim(), called("settle"), called("put"), trim(callOf("settle")), trim(callOf("put"))];
  assert.deepEqual(operations.map(upkeep.of(operations)), [true, true, false, true, false]);
  const filling = operations.map((each) => upkeep.fills(each));
  assert.deepEqual(filling, [false, false, true, false, true]);
  assert.equal(upkeep.fills({ type: "replace-batches", partitionId: 1, replacements: [], from: 0, to: 0 }), false);
});

test("upkeep: of a part of a commit all or none", () => {
  const upkeep = new Upkeep([books], methods);
  const operations = [called("settle", 0), called("put", 0), called("settle", 1), called("settle")];
  assert.deepEqual(operations.map(upkeep.of(operations)), [false, false, true, true]);
});

test("upkeep: an extension that names a method it does not have is a mistake", () => {
  assert.throws(() => new Upkeep([{ ...books, upkeep: ["settel"] }], methods), /no method books.settel/);
});
