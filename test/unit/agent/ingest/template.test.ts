import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Template } from "../../../../agent/ingest/template.ts";
import { canRender, parseTemplate, renderTemplate } from "../../../../agent/ingest/template.ts";

function template(source: string, names: readonly string[] = ["site", "device"]): Template {
  const parsed = parseTemplate(source, names);
  assert.ok(!("problems" in parsed), `${source} is a template`);
  return parsed;
}

const captures = new Map([
  ["site", "berlin"],
  ["device", "d1"],
]);

const rows: readonly (readonly [source: string, rendered: string])[] = [
  ["readings", "readings"],
  ["readings.{site}", "readings.berlin"],
  ["{site}/{device}", "berlin/d1"],
  ["{topic}", "sensors/berlin/d1"],
  ["{{site}} {site}", "{site} berlin"],
  ["", ""],
];

for (const [source, rendered] of rows) {
  test(`template: "${source}" -> "${rendered}"`, () => {
    assert.equal(renderTemplate(template(source), "sensors/berlin/d1", captures), rendered);
  });
}

test("template: a name that the filter does not capture is refused, with the names there are", () => {
  const parsed = parseTemplate("{plant}", ["site"]);
  assert.ok("problems" in parsed);
  assert.match(parsed.problems.join(), /\{plant\} is not in the topic filter; there are \{site\}, \{topic\}/);
});

for (const source of ["{", "a}", "{site", "{a{b}"]) {
  test(`template: "${source}" is refused for its single brace`, () => {
    const parsed = parseTemplate(source, ["site", "b"]);
    assert.ok("problems" in parsed);
    assert.match(parsed.problems.join(), /a single [{}]/);
  });
}

test("template: the change touches what is filled in and nothing else", () => {
  const rendered = renderTemplate(template("a-{site}"), "", captures, (text) => text.toUpperCase());
  assert.equal(rendered, "a-BERLIN");
});

test("template: it can render whatever it has rendered", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "."), maxLength: 4 });
  const source = fc.array(fc.oneof(text, fc.constantFrom("{site}", "{device}")), { maxLength: 6 });
  fc.assert(
    fc.property(source, text, text, (parts, site, device) => {
      const parsed = template(parts.join(""));
      const rendered = renderTemplate(
        parsed,
        "",
        new Map([
          ["site", site],
          ["device", device],
        ]),
      );
      assert.ok(canRender(parsed, rendered), `${parts.join("")} gave ${rendered}`);
    }),
  );
});

for (const [source, text] of [
  ["readings.{site}", "readings"],
  ["readings.{site}", "alarms.berlin"],
  ["{site}.temp", "berlin.humidity"],
  ["a{site}a", "a"],
  ["x.{site}.y.{device}", "x.berlin.z.d1"],
  ["readings", "readings.berlin"],
] as const) {
  test(`template: "${source}" cannot render "${text}"`, () => assert.ok(!canRender(template(source), text)));
}
