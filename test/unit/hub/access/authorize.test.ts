/** Every API that the hub serves, asked by users who may do nothing, all but the thing, or only the thing. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Acl } from "../../../../hub/access/acl.ts";
import { withImplied } from "../../../../hub/access/acl.ts";
import type { Operation, ResourceKind } from "../../../../hub/access/authorizer.ts";
import { operations } from "../../../../hub/access/authorizer.ts";
import { handlers } from "../../../../hub/kafka/dispatch.ts";
import { emptyWorld, fullWorld, GROUP, possibleEffects, TOPIC } from "../../../support/kafka-permissions.ts";
import type { Permission, PermissionRow } from "../../../support/kafka-permissions.ts";
import { openApis, permissionRows } from "../../../support/kafka-permission-rows.ts";

const REFUSALS = [29, 30, 31];

const parse = (permission: Permission) => permission.split(" ") as [Operation, ResourceKind];

function aclsFor(permissions: readonly Permission[]): Acl[] {
  return permissions.map((permission) => {
    const [operation, resource] = parse(permission);
    return { resource, name: "*", pattern: "literal", operations: [operation] };
  });
}

/** Everything there is, without what gives one of these permissions, and with what the row grants. */
function allBut({ needs, granted }: PermissionRow): Acl[] {
  const others = (["topic", "group", "cluster"] as const).map((resource): Acl => {
    const missing = needs.map(parse).filter(([, kind]) => kind === resource);
    const kept = operations.filter((each) => missing.every(([operation]) => !withImplied([each]).has(operation)));
    return { resource, name: "*", pattern: "literal", operations: kept };
  });
  const conflicting = granted.filter((permission) => {
    const [operation, kind] = parse(permission);
    return needs.some((need) => parse(need)[1] === kind && withImplied([operation]).has(parse(need)[0]));
  });
  return [...others, ...aclsFor(granted.filter((each) => !conflicting.includes(each)))];
}

/** Every error code in an answer that is not success, but for the one that only hides the configuration. */
function errorCodes(answer: unknown): number[] {
  if (answer === null || typeof answer !== "object") return [];
  return Object.entries(answer).flatMap(([key, value]: [string, unknown]) => {
    if (typeof value === "number") return key.endsWith("errorCode") && value !== 0 ? [value] : [];
    return errorCodes(value);
  });
}

/** Binary fields and 64-bit numbers too. */
const shown = (answer: unknown): string =>
  JSON.stringify(answer, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value));
/** Whether the answer names what the row's permission is for. */
const reveals = ({ needs }: PermissionRow, answer: unknown): boolean =>
  shown(answer).includes(needs.some((need) => parse(need)[1] === "topic") ? TOPIC : GROUP);

function* versionsOf({ versions: [first, last] }: PermissionRow): Generator<number> {
  for (let version = first; version <= last; version++) yield version;
}

const nameOf = ({ api, part }: PermissionRow): string => (part === "" ? api.name : `${api.name}, ${part}`);

function assertRefused(row: PermissionRow, answer: unknown, version: number): void {
  const codes = errorCodes(answer);
  if (row.refusal === undefined) assert.deepEqual([codes, reveals(row, answer)], [[], false], `v${version}`);
  else assert.deepEqual(Array.from(new Set(codes)), [row.refusal], `v${version}: ${shown(answer)}`);
}

test("every API that is served is in the table of permissions", () => {
  const served = Array.from(handlers.values(), ({ api }) => api.name);
  const known = new Set([...openApis, ...permissionRows.map(({ api }) => api.name)]);
  assert.deepEqual(
    served.filter((name) => !known.has(name)),
    [],
  );
});

test("every version of every API that needs a permission is in the table", () => {
  for (const { api } of handlers.values()) {
    if (openApis.includes(api.name)) continue;
    const covered = new Set(permissionRows.filter((row) => row.api === api).flatMap((row) => [...versionsOf(row)]));
    for (let version = api.first; version <= api.last; version++) {
      assert.ok(covered.has(version), `${api.name} ${version}`);
    }
  }
});

for (const row of permissionRows) {
  if (row.needs.length === 0) {
    test(`${nameOf(row)}: without any permission it is answered, and tells nothing of what the hub holds`, async () => {
      for (const version of versionsOf(row)) {
        const [full, empty] = [await fullWorld(), emptyWorld()];
        const answer = await row.ask(full, [], version);
        assert.deepEqual(answer, await row.ask(empty, [], version));
        assert.ok(!errorCodes(answer).some((code) => REFUSALS.includes(code)));
        assert.deepEqual(full.effects, []);
      }
    });
    continue;
  }

  test(`${nameOf(row)}: who may do nothing gets the same answer whatever the hub holds, and changes nothing`, async () => {
    for (const version of versionsOf(row)) {
      const [full, empty] = [await fullWorld(), emptyWorld()];
      const answer = await row.ask(full, aclsFor(row.granted), version);
      assertRefused(row, answer, version);
      if (row.toldBecause === undefined) {
        assert.deepEqual(answer, await row.ask(empty, aclsFor(row.granted), version), `v${version}`);
      } else {
        assert.equal(reveals(row, answer), false, "the topic's name is secret all the same");
      }
      assert.deepEqual([full.effects, empty.effects], [[], []], `v${version}`);
    }
  });

  test(`${nameOf(row)}: everything but ${row.needs.join(" or ")} does not help`, async () => {
    for (const version of versionsOf(row)) {
      const full = await fullWorld();
      assertRefused(row, await row.ask(full, allBut(row), version), version);
      assert.deepEqual(full.effects, [], `v${version}`);
    }
  });

  for (const need of row.needs) {
    test(`${nameOf(row)}: ${need} is enough`, async () => {
      for (const version of versionsOf(row)) {
        const full = await fullWorld();
        const answer = await row.ask(full, aclsFor([need, ...row.granted]), version);
        assert.deepEqual(
          errorCodes(answer).filter((code) => REFUSALS.includes(code)),
          [],
          `v${version}: ${shown(answer)}`,
        );
        if (row.refusal === undefined) assert.ok(reveals(row, answer), `v${version}`);
      }
    });
  }
}

test("what the rows ask for would change everything that can be changed", async () => {
  const effects = new Set<string>();
  for (const row of permissionRows) {
    const full = await fullWorld();
    await row.ask(full, aclsFor([...row.needs, ...row.granted]), row.versions[1]);
    for (const effect of full.effects) effects.add(effect);
  }
  assert.deepEqual(
    possibleEffects.filter((effect) => !effects.has(effect)),
    [],
  );
});

test("docs/kafka-authorization.md says of every API what the table says", () => {
  const inDocs = (permission: Permission): string => {
    const [operation, kind] = parse(permission);
    return `${operation} ${kind}`;
  };
  const lines = readFileSync(new URL("../../../../docs/kafka-authorization.md", import.meta.url), "utf8").split("\n");
  const said = lines.filter((line) => line.startsWith("| ")).map((line) => line.split("|").map((cell) => cell.trim()));
  for (const { api, needs, refusal } of permissionRows) {
    const own = said.filter(([, apis]) => apis?.split(", ").includes(api.name));
    assert.ok(own.length > 0, `${api.name} is not in the table`);
    const isSaid = own.some(
      ([, , permissions = "", error = ""]) =>
        needs.every((need) => permissions.includes(inDocs(need))) &&
        (refusal === undefined || error.includes(`${refusal}`)),
    );
    assert.ok(isSaid, `${api.name}: ${needs.join(" or ")}, ${refusal}`);
  }
});
