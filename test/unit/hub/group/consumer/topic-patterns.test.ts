import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  REGEX_LENGTH_MAX,
  REGEX_PROGRAM_MAX,
  TopicPatterns,
} from "../../../../../hub/group/consumer/topic-patterns.ts";
import { catalogOf } from "./consumer-play.ts";

/** Each look at the clock takes `lookMs`. */
function open(lookMs = 0) {
  let nowMs = 0;
  let pauseCount = 0;
  const patterns = new TopicPatterns({
    monotonicMs: () => (nowMs += lookMs),
    pause: async () => void (pauseCount += 1),
  });
  return { patterns, pauses: () => pauseCount };
}

suite("expressions", () => {
  test("match whole names, in RE2 syntax", async () => {
    const { patterns } = open();
    const catalog = catalogOf({ "s.a": 1, "s.b": 1, "x.s.a": 1, s: 1, Temperature: 1 });
    assert.deepEqual(await patterns.match("s\\..*", catalog), ["s.a", "s.b"]);
    assert.deepEqual(await patterns.match("(?i)temp\\pL+", catalog), ["Temperature"]);
    assert.deepEqual(await patterns.match("", catalog), []);
  });

  test("what is not valid says why", () => {
    const { patterns } = open();
    assert.equal(patterns.check("s\\..*"), undefined);
    for (const wrong of ["(", "a**", "(?=a)", "(a)\\1", "[z-a]"])
      assert.match(patterns.check(wrong) ?? "", /\S/, wrong);
  });

  test("too long, or too large once it is compiled", () => {
    const { patterns } = open();
    assert.equal(patterns.check("a".repeat(REGEX_LENGTH_MAX)), undefined);
    assert.match(patterns.check("a".repeat(REGEX_LENGTH_MAX + 1)) ?? "", /513 characters, 512 are allowed/);
    assert.match(patterns.check("(a?){1000}") ?? "", new RegExp(`${REGEX_PROGRAM_MAX} are allowed`));
  });

  test("those that take other engines for ever are answered here", async () => {
    const { patterns } = open();
    const name = `${"a".repeat(248)}!`;
    for (const evil of ["(a+)+", "(a*)*b", "(a|a)*b", "(.*a){20}", "(x+x+)+y"]) {
      assert.equal(patterns.check(evil), undefined);
      assert.deepEqual(await patterns.match(evil, catalogOf({ [name]: 1 })), []);
    }
  });
});

suite("work", () => {
  test("is done in slices, between which everything else has its turn", async () => {
    const { patterns, pauses } = open(1);
    const topics = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`t${index}`, 1]));
    assert.equal((await patterns.match("t.*", catalogOf(topics))).length, 100);
    assert.ok(pauses() >= 15 && pauses() <= 25, `${pauses()} pauses for 100 names at a millisecond each`);
  });

  test("is done once for a catalog, and for a new one only where it is new", async () => {
    const { patterns } = open();
    const first = catalogOf({ t: 1 });
    assert.equal(patterns.known("t", first), undefined);
    await patterns.match("t", first);
    assert.deepEqual(patterns.known("t", first), ["t"]);
    const second = catalogOf({ t: 1, u: 1 });
    assert.equal(patterns.known("t", second), undefined);
    assert.deepEqual(await patterns.match("t", second), ["t"]);
  });

  test("of several at once is done one after the other, and each has its own answer", async () => {
    const { patterns } = open(3);
    const catalog = catalogOf({ t: 1, u: 1, v: 1 });
    const found = await Promise.all(["t", "u", "[tu]", "(", "t"].map((regex) => patterns.match(regex, catalog)));
    assert.deepEqual(found, [["t"], ["u"], ["t", "u"], [], ["t"]]);
  });

  test("of more expressions than are remembered is done again for the oldest", async () => {
    const { patterns } = open();
    const catalog = catalogOf({ t: 1 });
    await patterns.match("t", catalog);
    for (let index = 0; index < 200; index++) patterns.check(`other${index}`);
    assert.equal(patterns.known("t", catalog), undefined);
    assert.deepEqual(await patterns.match("t", catalog), ["t"]);
  });
});
