import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamError } from "../../../../shared/errors.ts";
import { decodeSnapshot, encodeSnapshot } from "../../../../hub/group/snapshot.ts";
import { stableGroup } from "./group-play.ts";

const saved = stableGroup(["a", "b"], { fields: { b: { instanceId: "two" } } }).persisted.at(-1);
assert.ok(saved);

/** As version 1 was written when it was new: later programs have to read it. */
const golden =
  '{"version":1,"generation":1,"protocolType":"consumer","protocolName":"range","leaderId":"a","members":[{"memberId":"a","instanceId":null,"clientId":"client","clientHost":"/127.0.0.1","sessionTimeoutMs":10000,"rebalanceTimeoutMs":60000,"protocols":[{"name":"range","metadata":"dG9waWNz"}],"assignment":"Zm9yIGE="},{"memberId":"b","instanceId":"two","clientId":"client","clientHost":"/127.0.0.1","sessionTimeoutMs":10000,"rebalanceTimeoutMs":60000,"protocols":[{"name":"range","metadata":"dG9waWNz"}],"assignment":"Zm9yIGI="}]}';

function codeOf(json: string): string | undefined {
  try {
    decodeSnapshot(Buffer.from(json));
    return undefined;
  } catch (error) {
    return error instanceof StreamError ? error.code : String(error);
  }
}

test("a group comes back as it was", () => {
  assert.deepEqual(decodeSnapshot(encodeSnapshot(saved)), { type: "classic", group: saved });
});

test("version 1 is readable for ever", () => {
  assert.deepEqual(decodeSnapshot(Buffer.from(golden)), { type: "classic", group: saved });
});

test("the waiting requests of a member are not part of it", () => {
  const text = Buffer.from(encodeSnapshot(saved)).toString();
  assert.doesNotMatch(text, /Waiter|isNew/);
});

test("unknown fields are ignored, so that a version can grow", () => {
  assert.equal(codeOf(golden.replace("{", '{"later":true,')), undefined);
});

const refused: readonly (readonly [string, string, string])[] = [
  ["a newer version", golden.replace('"version":1', '"version":3'), "LOG_VERSION"],
  ["no bytes", "", "CORRUPT_RECORD"],
  ["half of it", golden.slice(0, 200), "CORRUPT_RECORD"],
  ["something else", "[]", "CORRUPT_RECORD"],
  ["a missing field", golden.replace('"generation":1,', ""), "CORRUPT_RECORD"],
  ["a negative timeout", golden.replace('"sessionTimeoutMs":10000', '"sessionTimeoutMs":-1'), "CORRUPT_RECORD"],
  ["bytes that are not base64", golden.replace("dG9waWNz", "!"), "CORRUPT_RECORD"],
];
for (const [what, json, code] of refused) {
  test(`${what} -> ${code}`, () => assert.equal(codeOf(json), code));
}
