/**
 * DescribeAcls: the rules of the hub's configuration, as Kafka's bindings, as far as they match a filter. Superusers are
 * not rules, here as in Kafka.
 */
import type { ResourceKind, Rule } from "../../access/authorizer.ts";
import { clusterRefused, mayCluster } from "../../access/authorize.ts";
import { distinct, handler, NO_ERROR, wireCode } from "../handler.ts";
import { operationCodes } from "../operations.ts";
import type { RequestOf, ResponseOf } from "../schema.ts";
import { describeAclsApi } from "../schemas/acls.ts";

type AclFilter = RequestOf<typeof describeAclsApi>;
type AclsAnswer = ResponseOf<typeof describeAclsApi>;
type Described = AclsAnswer["resources"][number];
type Binding = Described["acls"][number];

/** ResourceType.java, PatternType.java, AclOperation.java, AclPermissionType.java; in all of them 1 is "any". */
const ANY = 1;
const kindCodes: Readonly<Record<ResourceKind, number>> = { topic: 2, group: 3, cluster: 4 };
const RESOURCE_TYPE_MAX = 7;
const patternCodes: Readonly<Record<Rule["pattern"], number>> = { literal: 3, prefixed: 4 };
/** As a filter: every pattern that has to do with the name, not only the one that is written so. */
const PATTERN_MATCH = 2;
const PATTERN_TYPE_MAX = 4;
/** The newest operations are about delegation tokens, and two-phase commit. */
const OPERATION_MAX = 15;
const PERMISSION_ALLOW = 3;
const PERMISSION_MAX = 3;
const OPERATION_ALL = 2;
const ANY_HOST = "*";
const ANY_NAME = "*";

const principalOf = ({ user }: Rule): string => `User:${user}`;

const operationCodeOf = ({ operation }: Rule): number =>
  operation === "all" ? OPERATION_ALL : operationCodes[operation];

export const describeAcls = handler(describeAclsApi, (filter, context): AclsAnswer => {
  if (!context.authorizer.isEnabled) {
    return { errorCode: wireCode("SECURITY_DISABLED"), errorMessage: "the hub has no users", resources: [] };
  }
  if (!mayCluster(context, "describe")) {
    const { wire, message } = clusterRefused(context, "describe");
    return { errorCode: wire, errorMessage: message, resources: [] };
  }
  if (!isKnown(filter)) {
    return { errorCode: wireCode("INVALID_REQUEST"), errorMessage: "a filter of an unknown code", resources: [] };
  }
  const found = context.authorizer.rules.filter((rule) => matches(filter, rule));
  return { errorCode: NO_ERROR, errorMessage: null, resources: bindings(found) };
});

function isKnown({ resourceTypeFilter, patternTypeFilter, operation, permissionType }: AclFilter): boolean {
  const isCode = (code: number, max: number): boolean => code >= ANY && code <= max;
  return (
    isCode(resourceTypeFilter, RESOURCE_TYPE_MAX) &&
    isCode(patternTypeFilter, PATTERN_TYPE_MAX) &&
    isCode(operation, OPERATION_MAX) &&
    isCode(permissionType, PERMISSION_MAX)
  );
}

function matches(filter: AclFilter, rule: Rule): boolean {
  const is = (asked: number, code: number): boolean => asked === ANY || asked === code;
  const isOrNull = (asked: string | null, value: string): boolean => asked === null || asked === value;
  return (
    is(filter.resourceTypeFilter, kindCodes[rule.kind]) &&
    matchesPattern(filter, rule) &&
    isOrNull(filter.principalFilter, principalOf(rule)) &&
    isOrNull(filter.hostFilter, ANY_HOST) &&
    is(filter.operation, operationCodeOf(rule)) &&
    is(filter.permissionType, PERMISSION_ALLOW)
  );
}

/** ResourcePatternFilter.matches */
function matchesPattern({ patternTypeFilter, resourceNameFilter: asked }: AclFilter, { name, pattern }: Rule): boolean {
  if (patternTypeFilter === PATTERN_MATCH) {
    if (asked === null) return true;
    return pattern === "prefixed" ? asked.startsWith(name) : name === asked || name === ANY_NAME;
  }
  return (patternTypeFilter === ANY || patternTypeFilter === patternCodes[pattern]) && (asked ?? name) === name;
}

/** Rules about the same pattern stand together; what is given twice is listed once. */
function bindings(rules: readonly Rule[]): readonly Described[] {
  const patternOf = ({ kind, pattern, name }: Rule): string => `${kind}/${pattern}/${name}`;
  const once = distinct(rules, (rule) => `${rule.operation}/${rule.user.length}/${rule.user}/${patternOf(rule)}`);
  const resources = new Map<string, Described & { readonly acls: Binding[] }>();
  for (const rule of once) {
    const resource = resources.get(patternOf(rule)) ?? {
      resourceType: kindCodes[rule.kind],
      resourceName: rule.name,
      patternType: patternCodes[rule.pattern],
      acls: [],
    };
    resources.set(patternOf(rule), resource);
    resource.acls.push({
      principal: principalOf(rule),
      host: ANY_HOST,
      operation: operationCodeOf(rule),
      permissionType: PERMISSION_ALLOW,
    });
  }
  return Array.from(resources.values());
}
