import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RowWriter, readRow } from "../../../../agent/ingest/duplicate-window-row.ts";

type Section = readonly [kind: string, ...rest: unknown[]];

function sectionsOf(row: Uint8Array): Section[] {
  const sections: Section[] = [];
  readRow(row, {
    message: (...rest) => sections.push(["message", ...rest]),
    passed: (...rest) => sections.push(["passed", ...rest]),
    client: (...rest) => sections.push(["client", ...rest]),
    kept: (...rest) => sections.push(["kept", ...rest]),
  });
  return sections;
}

const state = { isClosed: false, isNew: false, isProven: true };

test("duplicate window row: messages of a client that counts up cost 4 bytes each, and 7 alone", () => {
  const row = new RowWriter();
  row.message(5, 1000, 1);
  assert.equal(row.length, 7);
  for (let index = 1; index < 100; index++) row.message(5, 1000 + index, index + 1);
  assert.equal(row.length, 7 + 1 + 99 * 4);
  const expected = Array.from({ length: 100 }, (_, index) => ["message", 5, 1000 + index, index + 1]);
  assert.deepEqual(sectionsOf(row.take()), expected);
});

test("duplicate window row: a run ends with another client, an identifier that does not follow, and at 255", () => {
  const row = new RowWriter();
  const messages = [
    [1, 65_535, 7],
    [1, 1, 7],
    [2, 2, 7],
    [1, 2, 7],
    ...Array.from({ length: 600 }, (_, index) => [900, 100 + index, index]),
  ] as const;
  for (const [ref, messageId, digest] of messages) row.message(ref, messageId, digest);
  assert.deepEqual(
    sectionsOf(row.take()),
    messages.map((each) => ["message", ...each]),
  );
});

test("duplicate window row: whatever is written is read back, also joined to another row", () => {
  const u16 = fc.integer({ min: 1, max: 65_535 });
  const ref = fc.oneof(fc.nat(300), fc.nat(0xffff_ffff));
  const digest = fc.nat(0xffff_ffff);
  const section = fc.oneof(
    fc.tuple(fc.constant("message" as const), ref, u16, digest),
    fc.tuple(fc.constant("passed" as const), ref, fc.integer({ min: 1, max: 255 })),
    fc.tuple(
      fc.constant("client" as const),
      ref,
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.array(fc.record({ age: fc.nat(127), messageId: u16, digest }), { maxLength: 40 }),
    ),
  );
  fc.assert(
    fc.property(fc.array(section), fc.array(section), (first, second) => {
      const expected: Section[] = [];
      const write = (row: RowWriter, sections: typeof first): void => {
        for (const each of sections) {
          if (each[0] === "message") row.message(each[1], each[2], each[3]);
          else if (each[0] === "passed") row.passed(each[1], each[2]);
          else {
            row.client(each[1], each[2], state, each[3].length);
            for (const { age, messageId, digest: kept } of each[3]) row.kept(age, messageId, kept);
          }
          if (each[0] !== "client") expected.push(each);
          else
            expected.push(
              ["client", each[1], each[2], state],
              ...each[3].map((kept) => ["kept", each[1], { ...kept }] as const),
            );
        }
      };
      const [row, other] = [new RowWriter(), new RowWriter()];
      write(row, first);
      write(other, second);
      row.append(other);
      assert.deepEqual(sectionsOf(row.take()), expected);
      assert.equal(row.length, 0);
    }),
  );
});

test("duplicate window row: one that is cut short is said to be, wherever it is cut", () => {
  const row = new RowWriter();
  row.client(1, "sensor", state, 1);
  row.kept(3, 9, 9);
  row.message(1, 10, 10);
  const whole = row.take();
  const boundaries = new Set([0, 10 + 7]);
  for (let length = 0; length < whole.length; length++) {
    const cut = whole.subarray(0, length);
    if (boundaries.has(length)) sectionsOf(cut);
    else assert.throws(() => sectionsOf(cut), RangeError, `after ${length} bytes`);
  }
});
