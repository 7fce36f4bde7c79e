/**
 * Decides by the users' access control lists. Rules do not change while the hub runs, so what a user may do with a
 * topic or group is worked out once, for all operations together, and remembered as a set of bits:
 *
 *   user ──▶ topic name ──▶ bits      read = 1, write = 2, create = 4, …
 */
import type { Acl, AccessUser } from "./acl.ts";
import { coversName, withImplied } from "./acl.ts";
import type { Authorizer, Operation, Resource, ResourceKind, Rule } from "./authorizer.ts";
import { CLUSTER_NAME, operations } from "./authorizer.ts";
import { RememberedVerdicts } from "./remembered-verdicts.ts";

type Bits = number;
const NOTHING: Bits = 0;

const bitOf = Object.fromEntries(operations.map((operation, index) => [operation, 1 << index])) as Readonly<
  Record<Operation, Bits>
>;

/** Of a superuser, in place of rules. */
const everything: readonly Acl[] = (["topic", "group", "cluster"] as const).map((resource) => ({
  resource,
  name: "*",
  pattern: "literal",
  operations,
}));

export function aclAuthorizer(users: readonly AccessUser[]): Authorizer {
  const accessOf = new Map(
    users.map(({ name, isSuperuser, acls }) => [name, new UserAccess(isSuperuser ? everything : acls)]),
  );
  return {
    isEnabled: true,
    rules: users.flatMap(rulesOf),
    allows: ({ name }, operation, resource) => {
      const access = accessOf.get(name);
      return access !== undefined && (access.to(resource) & bitOf[operation]) !== NOTHING;
    },
    allowsSome: ({ name }, operation, kind) => {
      const access = accessOf.get(name);
      return access !== undefined && (access.some[kind] & bitOf[operation]) !== NOTHING;
    },
  };
}

type CompiledRule = Pick<Acl, "name" | "pattern"> & { readonly bits: Bits };

/** What one user may do. */
class UserAccess {
  /** What the user may do with some resource of the kind; with the cluster, of which there is one, it is all. */
  readonly some: Readonly<Record<ResourceKind, Bits>>;
  readonly #topics: RememberedVerdicts;
  readonly #groups: RememberedVerdicts;

  constructor(acls: readonly Acl[]) {
    const rulesFor = (kind: ResourceKind): readonly CompiledRule[] =>
      acls.filter(({ resource }) => resource === kind).map((acl) => ({ ...acl, bits: bitsOf(acl.operations) }));
    this.some = {
      topic: union(rulesFor("topic")),
      group: union(rulesFor("group")),
      cluster: union(rulesFor("cluster")),
    };
    this.#topics = verdictsBy(rulesFor("topic"));
    this.#groups = verdictsBy(rulesFor("group"));
  }

  to(resource: Resource): Bits {
    if (resource.kind === "topic") return this.#topics.of(resource.name);
    return resource.kind === "group" ? this.#groups.of(resource.name) : this.some.cluster;
  }
}

function verdictsBy(rules: readonly CompiledRule[]): RememberedVerdicts {
  return new RememberedVerdicts((name) => union(rules.filter((rule) => coversName(rule, name))));
}

function bitsOf(given: readonly Operation[]): Bits {
  let bits = NOTHING;
  for (const operation of withImplied(given)) bits |= bitOf[operation];
  return bits;
}

function union(rules: readonly CompiledRule[]): Bits {
  let bits = NOTHING;
  for (const rule of rules) bits |= rule.bits;
  return bits;
}

function asWritten(given: readonly Operation[]): ReadonlySet<Rule["operation"]> {
  const once = new Set<Rule["operation"]>(given);
  return operations.every((each) => once.has(each)) ? new Set(["all"]) : once;
}

function rulesOf({ name: user, acls }: AccessUser): readonly Rule[] {
  return acls.flatMap(({ resource, name, pattern, operations: given }) =>
    Array.from(asWritten(given), (operation) =>
      resource === "cluster"
        ? { user, kind: resource, name: CLUSTER_NAME, pattern: "literal" as const, operation }
        : { user, kind: resource, name, pattern, operation },
    ),
  );
}
