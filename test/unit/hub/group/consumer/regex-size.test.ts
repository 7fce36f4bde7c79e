import assert from "node:assert/strict";
import { test } from "node:test";
import { expandedSize } from "../../../../../hub/group/consumer/regex-size.ts";

const rows: readonly (readonly [string, number])[] = [
  ["", 0],
  ["abc", 3],
  ["s\\..*", 4],
  ["a{100}", 101],
  ["a{3,100}", 101],
  ["a{100,}", 101],
  ["x(ab){10}", 45],
  ["((a{10}){10}){10}", 1595],
  ["(ab|cd){2}", 21],
  ["[a-z]{10}", 11],
  ["[]a]{10}", 11],
  ["[^]a]{10}", 11],
  ["[[:alpha:]]{10}", 11],
  ["[(){}\\]]{10}", 11],
  ["\\p{Greek}{10}", 11],
  ["\\x{10FFFF}{10}", 11],
  ["\\({10}", 11],
  ["\\Q({9}\\E", 8],
  ["{10", 3],
  ["a{x}", 4],
];
for (const [regex, size] of rows) test(`${regex}: ${size}`, () => assert.equal(expandedSize(regex), size));

test("what is no expression has a size too", () => {
  for (const wrong of ["(", ")", "[", "[[:", "\\", "\\Q", "\\p{", "{", "*", "))))", "((((", "{5}"]) {
    assert.ok(Number.isFinite(expandedSize(wrong)), wrong);
  }
});

test("no expression of 512 characters that passes is large when it is written out", () => {
  for (const [unit, count] of [
    ["a{1000}", 70],
    ["(a?){1000}", 50],
    ["(\\pL\\pN?){500}", 30],
    ["((a{30}){33})", 30],
    ["[^]]{999}", 50],
  ] as const) {
    assert.ok(expandedSize(unit.repeat(count)) >= count * 499, unit);
  }
  assert.ok(expandedSize(`((${"a".repeat(400)}){10}){10}`) >= 40_000);
});
