import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../bin/demo/random.ts";
import type { Acl } from "../../../../hub/access/acl.ts";
import { aclAuthorizer } from "../../../../hub/access/acl-authorizer.ts";
import type { Operation, Resource } from "../../../../hub/access/authorizer.ts";
import { operations } from "../../../../hub/access/authorizer.ts";
import { anonymous } from "../../../../hub/access/principal.ts";

const alice = { name: "alice" };
const bob = { name: "bob" };
const cluster: Resource = { kind: "cluster" };

const user = (acls: readonly Acl[], name = "alice") => ({ name, isSuperuser: false, acls });
const acl = (resource: Acl["resource"], name: string, ...given: Operation[]): Acl => ({
  resource,
  name,
  pattern: "literal",
  operations: given,
});

/** Every rule of one operation, and every question. */
const rules: readonly Acl[] = (["topic", "group", "cluster"] as const).flatMap((resource) =>
  (["literal", "prefixed"] as const).flatMap((pattern) =>
    ["a", "ab", "*"].flatMap((name) =>
      operations.map((operation) => ({ resource, pattern, name, operations: [operation] })),
    ),
  ),
);
const resources: readonly Resource[] = [
  ...(["topic", "group"] as const).flatMap((kind) =>
    ["a", "ab", "abc", "b", "A", "*", "*a"].map((name) => ({ kind, name })),
  ),
  cluster,
];

/** Kafka's rule in the words of its documentation, written down without looking at the authorizer. */
const gives: Readonly<Record<Operation, readonly Operation[]>> = {
  read: ["read", "describe"],
  write: ["write", "describe"],
  create: ["create"],
  delete: ["delete", "describe"],
  alter: ["alter", "describe"],
  describe: ["describe"],
  clusterAction: ["clusterAction"],
  describeConfigs: ["describeConfigs"],
  alterConfigs: ["alterConfigs", "describeConfigs"],
  idempotentWrite: ["idempotentWrite"],
};
function expected(rule: Acl, operation: Operation, resource: Resource): boolean {
  if (rule.resource !== resource.kind || !rule.operations.some((each) => gives[each].includes(operation))) return false;
  if (resource.kind === "cluster") return true;
  if (rule.pattern === "prefixed") return resource.name.slice(0, rule.name.length) === rule.name;
  return [resource.name, "*"].includes(rule.name);
}

test("the matrix: every operation, resource and pattern against every rule of one operation", () => {
  let allowed = 0;
  for (const rule of rules) {
    const authorizer = aclAuthorizer([user([rule])]);
    for (const resource of resources) {
      for (const operation of operations) {
        const may = authorizer.allows(alice, operation, resource);
        assert.equal(may, expected(rule, operation, resource), JSON.stringify({ rule, operation, resource }));
        assert.equal(authorizer.allows(alice, operation, resource), may, "the remembered verdict is the same");
        assert.equal(authorizer.allows(bob, operation, resource), false, "a rule is for its user");
        if (may) allowed++;
      }
    }
  }
  assert.ok(allowed > 500, `${allowed}`);
});

test("many rules give what one of them gives, and nothing more", (t) => {
  const seed = Date.now() % 1_000_000;
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const below = (end: number): number => Math.floor(random.between(0, end));
  for (let round = 0; round < 200; round++) {
    const some = Array.from({ length: 1 + below(5) }, () => rules[below(rules.length)]);
    const given = some.filter((rule) => rule !== undefined);
    const authorizer = aclAuthorizer([user(given)]);
    for (const resource of resources) {
      for (const operation of operations) {
        const wanted = given.some((rule) => expected(rule, operation, resource));
        assert.equal(authorizer.allows(alice, operation, resource), wanted, `seed ${seed}`);
      }
    }
  }
});

test("deny by default: no rules, an unknown user, nobody", () => {
  const authorizer = aclAuthorizer([user([])]);
  assert.equal(authorizer.isEnabled, true);
  for (const principal of [alice, bob, anonymous, { name: "" }, { name: "__proto__" }]) {
    for (const operation of operations) {
      for (const resource of resources) assert.equal(authorizer.allows(principal, operation, resource), false);
      assert.equal(authorizer.allowsSome(principal, operation, "topic"), false);
    }
  }
});

test("a superuser may do everything and has no rules", () => {
  const authorizer = aclAuthorizer([{ ...user([]), isSuperuser: true }, user([], "bob")]);
  for (const operation of operations) {
    for (const resource of resources) assert.equal(authorizer.allows(alice, operation, resource), true);
    assert.equal(authorizer.allowsSome(alice, operation, "topic"), true);
  }
  assert.equal(authorizer.allows(bob, "read", { kind: "topic", name: "a" }), false);
  assert.deepEqual(authorizer.rules, []);
});

test("allows some: one rule for the kind is enough, whatever its name", () => {
  const authorizer = aclAuthorizer([user([acl("topic", "a", "write"), acl("group", "g", "read")])]);
  assert.deepEqual(
    operations.filter((operation) => authorizer.allowsSome(alice, operation, "topic")),
    ["write", "describe"],
  );
  assert.equal(authorizer.allowsSome(alice, "write", "group"), false);
  assert.equal(authorizer.allowsSome(alice, "write", "cluster"), false);
});

test("rules are listed one operation each, the cluster by Kafka's name for it, what is implied not at all", () => {
  const { rules: listed } = aclAuthorizer([
    user([acl("topic", "a", "read", "write", "read"), { ...acl("cluster", "x", "create"), pattern: "prefixed" }]),
  ]);
  assert.deepEqual(listed, [
    { user: "alice", kind: "topic", name: "a", pattern: "literal", operation: "read" },
    { user: "alice", kind: "topic", name: "a", pattern: "literal", operation: "write" },
    { user: "alice", kind: "cluster", name: "kafka-cluster", pattern: "literal", operation: "create" },
  ]);
  const [all, ...others] = aclAuthorizer([user([acl("topic", "a", ...operations)])]).rules;
  assert.deepEqual([all?.operation, others], ["all", []]);
});
