/** Who may do what: the question that every protocol of the hub asks before it serves a request. */
import type { Principal } from "./principal.ts";

/** Kafka's AclOperation, without those that are only used in filters. */
export const operations = [
  "read",
  "write",
  "create",
  "delete",
  "alter",
  "describe",
  "clusterAction",
  "describeConfigs",
  "alterConfigs",
  "idempotentWrite",
] as const;
export type Operation = (typeof operations)[number];

/** `cluster` has no name. */
export type Resource = { readonly kind: "topic" | "group"; readonly name: string } | { readonly kind: "cluster" };
export type ResourceKind = Resource["kind"];

/** One rule as Kafka's tools list it: one user, one operation, one pattern of names. */
export type Rule = {
  readonly user: string;
  readonly kind: ResourceKind;
  /** Of the cluster: CLUSTER_NAME. */
  readonly name: string;
  readonly pattern: "literal" | "prefixed";
  readonly operation: Operation | "all";
};

/** What Kafka calls the one resource of the kind "cluster". */
export const CLUSTER_NAME = "kafka-cluster";

export interface Authorizer {
  /** False where nobody has to authenticate: everything is allowed and there are no rules to show. */
  readonly isEnabled: boolean;
  /** Every rule there is. What superusers may do is not in rules. */
  readonly rules: readonly Rule[];
  allows(principal: Principal, operation: Operation, resource: Resource): boolean;
  /** Whether there may be a resource of this kind for which the operation is allowed. */
  allowsSome(principal: Principal, operation: Operation, kind: ResourceKind): boolean;
}

/** For a hub without users: whoever reaches its listener may do everything. */
export const allowAll: Authorizer = { isEnabled: false, rules: [], allows: () => true, allowsSome: () => true };
