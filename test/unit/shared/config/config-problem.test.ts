import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as z from "zod";
import { configError, findingsOf, formatProblem } from "../../../../shared/config/config-problem.ts";
import { schemaNode } from "../../../../shared/config/config-rows.ts";

const schema = z.strictObject({
  http: z.strictObject({ listen: z.string(), countMax: z.int().min(1).max(9) }),
  token: z.string().min(8).meta({ isSecret: true }),
});

function textsOf(values: unknown): string[] {
  const issues = schema.safeParse(values).error?.issues ?? [];
  return issues.flatMap((issue) => findingsOf(issue, schemaNode(schema), values).map(({ text }) => text));
}

suite("config problem", () => {
  test("a wrong value is shown beside what is allowed", () => {
    const texts = textsOf({ http: { listen: 1, countMax: 10 }, token: "long enough" });
    assert.deepEqual(texts, ["found 1, allowed is text", "found 10, allowed is a whole number from 1 to 9"]);
  });

  test("a missing value is called missing", () => {
    const texts = textsOf({ http: { listen: "x" }, token: "long enough" });
    assert.deepEqual(texts, ["is missing; allowed is a whole number from 1 to 9"]);
  });

  test("a secret is not printed even where it is wrong", () => {
    const [text = ""] = textsOf({ http: { listen: "x", countMax: 1 }, token: "hush" });
    assert.match(text, /not printed/);
    assert.doesNotMatch(text, /hush/);
  });

  test("an unknown key gets the nearest one of its section, or the section where it belongs", () => {
    const texts = textsOf({ http: { listen: "x", countMax: 1, countMacks: 2 }, token: "long enough", listen: "x" });
    assert.deepEqual(texts, [
      "is not a known key; did you mean http.countMax?",
      "is not a known key here; did you mean http.listen?",
    ]);
  });

  test("a long value is cut", () => {
    const [text = ""] = textsOf({ http: { listen: ["x".repeat(500)], countMax: 1 }, token: "long enough" });
    assert.ok(text.length < 200);
  });

  test("the error lists all problems, those of the file first and in its order", () => {
    const error = configError("agent", [
      { source: "--hub", path: "uplink.hub", text: "found 1" },
      { source: "a.yaml", line: 9, column: 1, path: "b", text: "is not a known key" },
      { source: "a.yaml", line: 2, column: 3, path: "a", text: "is not a known key" },
    ]);
    assert.equal(error.code, "CONFIG_INVALID");
    const lines = ["a.yaml:2:3: a is not a known key", "a.yaml:9:1: b is not a known key", "--hub: uplink.hub found 1"];
    assert.deepEqual(error.details["problems"], lines);
    for (const line of lines) assert.ok(error.message.includes(line));
  });

  test("problems of one code give that code, mixed ones CONFIG_INVALID", () => {
    const open = { path: "mqtt.listen", text: "is not protected", code: "LISTENER_NOT_PROTECTED" } as const;
    assert.equal(configError("agent", [open, open]).code, "LISTENER_NOT_PROTECTED");
    assert.equal(configError("agent", [open, { path: "a", text: "b" }]).code, "CONFIG_INVALID");
  });

  test("a problem without a place is only its path and text", () => {
    assert.equal(formatProblem({ path: "a.b", text: "is missing" }), "a.b is missing");
  });
});
