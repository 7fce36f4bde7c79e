import assert from "node:assert/strict";
import { test } from "node:test";
import { allowAll, operations } from "../../../../hub/access/authorizer.ts";
import { anonymous } from "../../../../hub/access/principal.ts";

test("without users everybody may do everything, and there are no rules to show", () => {
  assert.deepEqual([allowAll.isEnabled, allowAll.rules], [false, []]);
  for (const operation of operations) {
    assert.ok(allowAll.allows(anonymous, operation, { kind: "topic", name: "t" }));
    assert.ok(allowAll.allows(anonymous, operation, { kind: "group", name: "g" }));
    assert.ok(allowAll.allows(anonymous, operation, { kind: "cluster" }));
    assert.ok(allowAll.allowsSome(anonymous, operation, "topic"));
  }
});
