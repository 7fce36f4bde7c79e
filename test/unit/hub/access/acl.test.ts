import assert from "node:assert/strict";
import { test } from "node:test";
import { coversName, withImplied } from "../../../../hub/access/acl.ts";
import { operations } from "../../../../hub/access/authorizer.ts";

test("covers name: a literal name is itself, a star is every name, a prefix is what begins with it", () => {
  const covered = (name: string, pattern: "literal" | "prefixed") =>
    ["plant", "plant.a", "plan", "*", "", "PLANT"].filter((asked) => coversName({ name, pattern }, asked));
  assert.deepEqual(covered("plant", "literal"), ["plant"]);
  assert.deepEqual(covered("*", "literal"), ["plant", "plant.a", "plan", "*", "", "PLANT"]);
  assert.deepEqual(covered("plant", "prefixed"), ["plant", "plant.a"]);
  assert.deepEqual(covered("*", "prefixed"), ["*"], "a star in a prefix is a character");
});

test("implied operations: those of Kafka, and no others", () => {
  const others = Object.fromEntries(
    operations
      .map((each) => [each, Array.from(withImplied([each])).filter((other) => other !== each)] as const)
      .filter(([, implied]) => implied.length > 0),
  );
  assert.deepEqual(others, {
    read: ["describe"],
    write: ["describe"],
    delete: ["describe"],
    alter: ["describe"],
    alterConfigs: ["describeConfigs"],
  });
});
