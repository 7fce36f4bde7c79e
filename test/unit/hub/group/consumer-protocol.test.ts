import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { parseAssignment, parseSubscription } from "../../../../hub/group/consumer-protocol.ts";

/** Written by hand from ConsumerProtocolSubscription.json and ConsumerProtocolAssignment.json. */
const topics = "00000002" + "0001" + "61" + "0002" + "6262";
const noUserData = "ffffffff";
const subscriptions = {
  "version 0, no user data": "0000" + topics + noUserData,
  "version 0, user data": "0000" + topics + "00000003" + "010203",
  "version 1, owned partitions": "0001" + topics + noUserData + "00000001" + "0001" + "61" + "00000001" + "00000005",
  "version 3, generation and rack": "0003" + topics + noUserData + "00000000" + "00000007" + "ffff",
  "a version of the future with fields unknown to us":
    "0009" + topics + noUserData + "00000000" + "00000007" + "ffff" + "abcdef",
};
const assignment =
  "0001" +
  "00000002" +
  "0001" +
  "61" +
  "00000002" +
  "00000000" +
  "00000002" +
  "0002" +
  "6262" +
  "00000000" +
  noUserData;

function bytes(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

suite("subscription", () => {
  for (const [what, hex] of Object.entries(subscriptions)) {
    test(what, () => {
      assert.deepEqual(parseSubscription(bytes(hex)), {
        version: Number.parseInt(hex.slice(0, 4), 16),
        topics: ["a", "bb"],
      });
    });
  }

  test("every truncation of what we read is malformed", () => {
    const read = bytes("0000" + topics);
    for (let cut = 0; cut < read.byteLength; cut++) assert.equal(parseSubscription(read.subarray(0, cut)), undefined);
    assert.deepEqual(parseSubscription(read)?.topics, ["a", "bb"]);
  });

  const malformed = {
    "a negative version": "ffff" + topics,
    "a negative count": "0000" + "ffffffff",
    "more topics than bytes": "0000" + "7fffffff" + "0001" + "61",
    "a negative length": "0000" + "00000001" + "ffff",
    "a string longer than the bytes": "0000" + "00000001" + "7fff" + "61",
  };
  for (const [what, hex] of Object.entries(malformed)) {
    test(`${what} is malformed`, () => assert.equal(parseSubscription(bytes(hex)), undefined));
  }
});

suite("assignment", () => {
  test("topics with their partitions", () => {
    const expected = [
      { topic: "a", partitions: [0, 2] },
      { topic: "bb", partitions: [] },
    ];
    assert.deepEqual(parseAssignment(bytes(assignment)), { version: 1, topics: expected });
  });

  test("no bytes: owns nothing", () => {
    assert.deepEqual(parseAssignment(Buffer.alloc(0)), { version: 0, topics: [] });
  });

  test("every truncation of what we read is malformed", () => {
    const read = bytes(assignment.slice(0, -noUserData.length));
    for (let cut = 1; cut < read.byteLength; cut++) assert.equal(parseAssignment(read.subarray(0, cut)), undefined);
  });

  test("more partitions than bytes is malformed", () => {
    assert.equal(parseAssignment(bytes("0000" + "00000001" + "0001" + "61" + "7fffffff" + "00000000")), undefined);
  });
});
