/** DescribeAcls: which rules of the configuration a filter finds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { aclAuthorizer } from "../../../../../hub/access/acl-authorizer.ts";
import { describeAclsApi } from "../../../../../hub/kafka/schemas/acls.ts";
import { ask, kafkaServices, testPeer } from "../../../../support/kafka-hub.ts";

const ANY = 1;
const MATCH = 2;
const LITERAL = 3;
const PREFIXED = 4;

const users = [
  {
    name: "root",
    isSuperuser: true,
    acls: [],
  },
  {
    name: "alice",
    isSuperuser: false,
    acls: [
      { resource: "topic", name: "plant.1", pattern: "literal", operations: ["read"] },
      { resource: "topic", name: "plant.", pattern: "prefixed", operations: ["read", "write"] },
      { resource: "topic", name: "*", pattern: "literal", operations: ["describe"] },
      { resource: "group", name: "g", pattern: "literal", operations: ["read", "read"] },
      { resource: "cluster", name: "", pattern: "literal", operations: ["describe"] },
    ],
  },
  {
    name: "bob",
    isSuperuser: false,
    acls: [{ resource: "topic", name: "plant.1", pattern: "literal", operations: ["alterConfigs"] }],
  },
] as const;

const everything = {
  resourceTypeFilter: ANY,
  resourceNameFilter: null as string | null,
  patternTypeFilter: ANY,
  principalFilter: null as string | null,
  hostFilter: null as string | null,
  operation: ANY,
  permissionType: ANY,
};

async function describe(filter: Partial<typeof everything> = {}, version = 3, principal = "alice") {
  const services = { ...kafkaServices(), authorizer: aclAuthorizer(users) };
  const request = { ...everything, ...filter };
  const peer = { ...testPeer(), principal: { name: principal } };
  const answer = await ask(services, { api: describeAclsApi, version, request }, peer);
  assert.ok(answer !== undefined);
  return answer;
}

/** As "type/pattern/name: who operation". */
async function found(filter: Partial<typeof everything> = {}, version = 3): Promise<string[]> {
  const { errorCode, resources } = await describe(filter, version);
  assert.equal(errorCode, 0);
  return resources.flatMap(({ resourceType, patternType, resourceName, acls }) =>
    acls.map(
      ({ principal, operation }) => `${resourceType}/${patternType}/${resourceName}: ${principal} ${String(operation)}`,
    ),
  );
}

const literal = ["2/3/plant.1: User:alice 3", "2/3/plant.1: User:bob 11"];
const prefixed = ["2/4/plant.: User:alice 3", "2/4/plant.: User:alice 4"];
const wildcard = ["2/3/*: User:alice 8"];
const group = ["3/3/g: User:alice 3"];
const cluster = ["4/3/kafka-cluster: User:alice 8"];

test("without a filter: every rule once, grouped by its pattern, from every host; superusers are not rules", async () => {
  for (const version of [1, 2, 3]) {
    assert.deepEqual(await found({}, version), [...literal, ...prefixed, ...wildcard, ...group, ...cluster]);
  }
  const { resources } = await describe();
  assert.equal(resources.length, 5);
  for (const { acls } of resources) {
    for (const { host, permissionType } of acls) assert.deepEqual([host, permissionType], ["*", 3]);
  }
});

test("filters: resource, pattern, name, principal, host, operation and permission", async () => {
  const rows: readonly (readonly [Partial<typeof everything>, readonly string[]])[] = [
    [{ resourceTypeFilter: 2 }, [...literal, ...prefixed, ...wildcard]],
    [{ resourceTypeFilter: 3 }, group],
    [{ resourceTypeFilter: 4, resourceNameFilter: "kafka-cluster" }, cluster],
    [{ resourceTypeFilter: 5 }, []],
    [{ patternTypeFilter: PREFIXED }, prefixed],
    [{ resourceNameFilter: "plant.1" }, literal],
    [{ resourceNameFilter: "plant.", patternTypeFilter: LITERAL }, []],
    [{ resourceNameFilter: "plant.", patternTypeFilter: PREFIXED }, prefixed],
    [
      { resourceNameFilter: "plant.1", patternTypeFilter: MATCH, resourceTypeFilter: 2 },
      [...literal, ...prefixed, ...wildcard],
    ],
    [{ resourceNameFilter: "other", patternTypeFilter: MATCH, resourceTypeFilter: 2 }, wildcard],
    [{ patternTypeFilter: MATCH, resourceTypeFilter: 3 }, group],
    [{ principalFilter: "User:bob" }, [literal[1] ?? ""]],
    [{ principalFilter: "bob" }, []],
    [{ hostFilter: "*" }, [...literal, ...prefixed, ...wildcard, ...group, ...cluster]],
    [{ hostFilter: "10.0.0.1" }, []],
    [{ operation: 4 }, [prefixed[1] ?? ""]],
    [{ operation: 2 }, []],
    [{ permissionType: 3, operation: 11 }, [literal[1] ?? ""]],
    [{ permissionType: 2 }, []],
  ];
  for (const [filter, expected] of rows) assert.deepEqual(await found(filter), expected, JSON.stringify(filter));
});

test("a code that does not exist is answered with 42", async () => {
  for (const filter of [
    { resourceTypeFilter: 0 },
    { resourceTypeFilter: 8 },
    { patternTypeFilter: 5 },
    { operation: 16 },
    { operation: -1 },
    { permissionType: 4 },
  ]) {
    const { errorCode, resources } = await describe(filter);
    assert.deepEqual([errorCode, resources], [42, []], JSON.stringify(filter));
  }
});

test("who may not describe the cluster gets 31, without users everybody gets 54", async () => {
  const refused = await describe({}, 3, "bob");
  assert.deepEqual([refused.errorCode, refused.resources], [31, []]);
  assert.match(refused.errorMessage ?? "", /User:bob has no permission "describe" for the cluster/);
  const disabled = await ask(kafkaServices(), { api: describeAclsApi, version: 1, request: everything });
  assert.deepEqual([disabled?.errorCode, disabled?.resources], [54, []]);
});

test("a superuser sees every rule", async () => {
  assert.equal((await describe({}, 3, "root")).resources.length, 5);
});
