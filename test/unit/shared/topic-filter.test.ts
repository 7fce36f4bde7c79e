import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { TopicFilter } from "../../../shared/topic-filter.ts";
import { matchTopic, parseTopicFilter } from "../../../shared/topic-filter.ts";

function filter(source: string): TopicFilter {
  const parsed = parseTopicFilter(source);
  assert.ok(!("problems" in parsed), `${source} is a filter`);
  return parsed;
}

function captures(source: string, topic: string): Record<string, string> | undefined {
  const found = matchTopic(filter(source), topic);
  return found === undefined ? undefined : Object.fromEntries(found);
}

// MQTT 3.1.1 section 4.7, its own examples first.
const rows: readonly (readonly [filter: string, topic: string, captures: Record<string, string> | undefined])[] = [
  ["sport/tennis/player1/#", "sport/tennis/player1", {}],
  ["sport/tennis/player1/#", "sport/tennis/player1/ranking", {}],
  ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", {}],
  ["sport/#", "sport", {}],
  ["#", "a/b/c", {}],
  ["sport/tennis/+", "sport/tennis/player1", {}],
  ["sport/tennis/+", "sport/tennis/player1/ranking", undefined],
  ["sport/+", "sport", undefined],
  ["sport/+", "sport/", {}],
  ["+/+", "/finance", {}],
  ["/+", "/finance", {}],
  ["+", "/finance", undefined],
  ["#", "$SYS/monitor", undefined],
  ["+/monitor/Clients", "$SYS/monitor/Clients", undefined],
  ["{first}/monitor", "$SYS/monitor", undefined],
  ["$SYS/#", "$SYS/monitor", {}],
  ["$SYS/monitor/+", "$SYS/monitor/Clients", {}],
  ["ACCOUNTS", "Accounts", undefined],
  ["a b/c", "a b/c", {}],
  ["sensors/{site}/{device}/temp", "sensors/berlin/d1/temp", { site: "berlin", device: "d1" }],
  ["sensors/{site}/{device}/temp", "sensors/berlin/d1/humidity", undefined],
  ["sensors/{site}/+/temp", "sensors//d1/temp", { site: "" }],
  ["{site}/#", "berlin", { site: "berlin" }],
  ["{site}/#", "berlin/a/b", { site: "berlin" }],
  ["{site}", "", { site: "" }],
  ["a//b", "a//b", {}],
  ["a/b/", "a/b", undefined],
  ["a/b", "a/b/", undefined],
];

for (const [source, topic, expected] of rows) {
  const outcome = expected === undefined ? "no match" : `match ${JSON.stringify(expected)}`;
  test(`topic filter: "${source}" and topic "${topic}" -> ${outcome}`, () => {
    assert.deepEqual(captures(source, topic), expected);
  });
}

const mistakes: readonly (readonly [filter: string, problem: RegExp])[] = [
  ["", /must not be empty/],
  ["sport/tennis#", /# must be the last level/],
  ["sport/#/ranking", /# must be the last level/],
  ["sport+", /\+ must stand alone/],
  ["a/{site", /a \{capture\} must be a whole level/],
  ["a/x{site}", /a \{capture\} must be a whole level/],
  ["a/{}", /is no capture/],
  ["a/{1st}", /is no capture/],
  ["a/{site}{device}", /is no capture/],
  ["a/{topic}", /choose another name/],
  ["{site}/{site}", /\{site\} is there twice/],
  ["a\0b", /null character/],
  ["a".repeat(65_536), /at most 65535 bytes/],
];

for (const [source, problem] of mistakes) {
  test(`topic filter: ${JSON.stringify(source.slice(0, 20))} is refused: ${problem.source}`, () => {
    const parsed = parseTopicFilter(source);
    assert.ok("problems" in parsed);
    assert.match(parsed.problems.join("\n"), problem);
  });
}

test("topic filter: all mistakes are named at once", () => {
  const parsed = parseTopicFilter("a#/b+/{c");
  assert.ok("problems" in parsed);
  assert.equal(parsed.problems.length, 3);
});

/** The specification's words, one level at a time. */
function matchesNaively(filterLevels: readonly string[], topicLevels: readonly string[]): boolean {
  const [level, ...levels] = filterLevels;
  if (level === undefined) return topicLevels.length === 0;
  if (level === "#") return true;
  const [text, ...texts] = topicLevels;
  if (text === undefined) return false;
  const isWild = level === "+" || level.startsWith("{");
  return (isWild || level === text) && matchesNaively(levels, texts);
}

test("topic filter: any filter and topic -> what a level-by-level matcher says", () => {
  const text = fc.constantFrom("", "a", "b", "$a", "ab");
  const level = fc.oneof(text, fc.constantFrom("+", "{x}"));
  const filters = fc
    .tuple(fc.array(level, { minLength: 1, maxLength: 5 }), fc.boolean())
    .map(([levels, hasRest]) => [
      ...levels.filter((each, at) => each !== "{x}" || levels.indexOf(each) === at),
      ...(hasRest ? ["#"] : []),
    ])
    .filter((levels) => levels.join("/") !== "");
  fc.assert(
    fc.property(filters, fc.array(text, { minLength: 1, maxLength: 6 }), (filterLevels, topicLevels) => {
      const topic = topicLevels.join("/");
      const hidden = topic.startsWith("$") && /^(\+|#|\{x\})$/.test(filterLevels[0] ?? "");
      const found = matchTopic(filter(filterLevels.join("/")), topic);
      assert.equal(found !== undefined, !hidden && matchesNaively(filterLevels, topicLevels));
      const at = filterLevels.indexOf("{x}");
      if (found !== undefined && at !== -1) assert.equal(found.get("x"), topicLevels[at]);
    }),
    { numRuns: 2000 },
  );
});
