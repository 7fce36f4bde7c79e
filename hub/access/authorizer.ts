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

export interface Authorizer {
  /** False where nobody has to authenticate: everything is allowed and there are no rules to show. */
  readonly isEnabled: boolean;
  allows(principal: Principal, operation: Operation, resource: Resource): boolean;
}

/** For a hub without users: whoever reaches its listener may do everything. */
export const allowAll: Authorizer = { isEnabled: false, allows: () => true };
