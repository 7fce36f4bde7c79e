/** The judge of the crash tests must be able to say no. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { assertFlawless, Checker } from "../../support/checker.ts";
import type { CheckedRecord, CheckerOptions, FindingKind } from "../../support/checker.ts";
import { PublishHistory } from "../../support/publish-history.ts";
import type { Qos } from "../../support/publish-history.ts";

const CLIENT = "c1";

/** A client that sent `count` messages and has all of them acknowledged. */
function acknowledged(count: number, qos: Qos = 1, client = CLIENT): PublishHistory {
  const history = new PublishHistory(client, qos);
  for (let sent = 0; sent < count; sent++) history.acknowledge(history.send());
  return history;
}

/** The records of one partition with these sequences, offsets from 0. */
function partitionOf(sequences: readonly number[], client = CLIENT, partition = 0): CheckedRecord[] {
  return sequences.map((sequence, offset) => ({ partition, offset, client, sequence }));
}

function judge(histories: readonly PublishHistory[], records: readonly CheckedRecord[], options?: CheckerOptions) {
  const checker = new Checker(histories, options);
  for (const record of records) checker.add(record);
  return checker.verdict();
}

function assertFound(verdict: ReturnType<typeof judge>, expected: Partial<Record<FindingKind, number>>): void {
  assert.deepEqual(verdict.counts, { missing: 0, duplicated: 0, unordered: 0, unknown: 0, gap: 0, ...expected });
  assert.equal(verdict.samples.length > 0, Object.keys(expected).length > 0);
}

suite("checker", () => {
  test("every acknowledged message once and in order: no finding", () => {
    const verdict = judge([acknowledged(3)], partitionOf([0, 1, 2]));
    assertFound(verdict, {});
    assert.deepEqual([verdict.recordCount, verdict.ackedCount, verdict.allowedDuplicateCount], [3, 3, 0]);
    assertFlawless(verdict);
  });

  test("an acknowledged message that is not there: missing", () => {
    const verdict = judge([acknowledged(3)], partitionOf([0, 2]));
    assertFound(verdict, { missing: 1 });
    assert.throws(() => assertFlawless(verdict), /1 missing[^]*missing: c1\/1 was acknowledged/);
  });

  test("a client of whom nothing is there: all its acknowledged messages are missing", () => {
    assertFound(judge([acknowledged(2), acknowledged(2, 2, "c2")], partitionOf([0, 1])), { missing: 2 });
  });

  test("a message sent and not acknowledged: there or not, no finding", () => {
    const history = acknowledged(1);
    history.send();
    assertFound(judge([history], partitionOf([0])), {});
    assertFound(judge([history], partitionOf([0, 1])), {});
  });

  test("QoS 1: a message twice that its client sent once: duplicated", () => {
    assertFound(judge([acknowledged(2)], partitionOf([0, 1, 1])), { duplicated: 1 });
  });

  test("QoS 1: as often as the client sent it again with DUP, and no more", () => {
    const history = acknowledged(2);
    history.resend(1);
    const allowed = judge([history], partitionOf([0, 1, 1]));
    assertFound(allowed, {});
    assert.equal(allowed.allowedDuplicateCount, 1);
    assertFound(judge([history], partitionOf([0, 1, 1, 1])), { duplicated: 1 });
    assertFound(judge([history], partitionOf([0, 0, 1])), { duplicated: 1 });
  });

  test("QoS 2: twice is duplicated, also when the client sent it again", () => {
    const history = acknowledged(2, 2);
    history.resend(1);
    assertFound(judge([history], partitionOf([0, 1, 1])), { duplicated: 1 });
  });

  test("QoS 0: twice is duplicated", () => {
    const history = new PublishHistory(CLIENT, 0);
    history.send();
    assertFound(judge([history], partitionOf([0, 0])), { duplicated: 1 });
  });

  test("a run that was sent again after its first occurrences: order is that of the first occurrences", () => {
    const history = acknowledged(4);
    for (const sequence of [1, 2, 3]) history.resend(sequence);
    assertFound(judge([history], partitionOf([0, 1, 2, 1, 2, 3])), {});
  });

  test("a first occurrence after that of a later message: unordered", () => {
    assertFound(judge([acknowledged(3)], partitionOf([0, 2, 1])), { unordered: 1 });
  });

  test("where some were dropped, a copy that was sent again may come late, and nothing else", () => {
    const history = acknowledged(4);
    history.resend(1);
    assertFound(judge([history], partitionOf([0, 3, 1, 2])), { unordered: 2 });
    assertFound(judge([history], partitionOf([0, 3, 1, 2]), { isLossy: true }), { unordered: 1 });
  });

  test("one client's messages in two partitions: unordered for a keyed topic only", () => {
    const records = [...partitionOf([0, 1]), ...partitionOf([2], CLIENT, 1)];
    assertFound(judge([acknowledged(3)], records), { unordered: 1 });
    assertFound(judge([acknowledged(3)], records, { isKeyed: false }), {});
  });

  test("clients in one partition: each has an order of its own", () => {
    const records = [
      { client: "a", sequence: 0 },
      { client: "b", sequence: 0 },
      { client: "b", sequence: 1 },
      { client: "a", sequence: 1 },
    ].map((record, offset) => ({ ...record, partition: 0, offset }));
    assertFound(judge([acknowledged(2, 1, "a"), acknowledged(2, 1, "b")], records), {});
  });

  test("a record that nobody sent, of a known client or not: unknown", () => {
    assertFound(judge([acknowledged(1)], partitionOf([0, 1])), { unknown: 1 });
    const stranger = { partition: 1, offset: 0, client: "stranger", sequence: 0 };
    assertFound(judge([acknowledged(1)], [...partitionOf([0]), stranger]), { unknown: 1 });
  });

  for (const [name, offsets] of Object.entries({ "left out": [0, 2], "not from 0": [1, 2], twice: [0, 0] })) {
    test(`an offset ${name}: gap`, () => {
      const records = offsets.map((offset, sequence) => ({ partition: 0, offset, client: CLIENT, sequence }));
      assertFound(judge([acknowledged(2)], records), { gap: 1 });
    });
  }

  test("many findings: all counted, a few told", () => {
    const verdict = judge([acknowledged(1000)], []);
    assertFound(verdict, { missing: 1000 });
    assert.ok(verdict.samples.length <= 5);
  });

  test("two histories of one client: refused, for the second would hide the first", () => {
    assert.throws(() => new Checker([acknowledged(1), acknowledged(1)]), /two histories of the client c1/);
  });
});
