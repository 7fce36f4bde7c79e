/**
 * Kafka's AclOperation codes, and the bit sets of them that "authorized operations" fields hold: of those that the
 * kind of resource knows, what this client may do. Where nobody has to authenticate that is all of them.
 */
import type { Operation, Resource, ResourceKind } from "../access/authorizer.ts";
import type { RequestContext } from "./handler.ts";

export const operationCodes: Readonly<Record<Operation, number>> = {
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  alter: 7,
  describe: 8,
  clusterAction: 9,
  describeConfigs: 10,
  alterConfigs: 11,
  idempotentWrite: 12,
};

/** AclEntry.supportedOperations */
const known: Readonly<Record<ResourceKind, readonly Operation[]>> = {
  topic: ["read", "write", "create", "delete", "alter", "describe", "describeConfigs", "alterConfigs"],
  group: ["read", "delete", "describe"],
  cluster: ["create", "alter", "describe", "clusterAction", "describeConfigs", "alterConfigs", "idempotentWrite"],
};

const bits = (operations: readonly Operation[]): number =>
  operations.reduce((set, operation) => set | (1 << operationCodes[operation]), 0);

const all: Readonly<Record<ResourceKind, number>> = {
  topic: bits(known.topic),
  group: bits(known.group),
  cluster: bits(known.cluster),
};

export function authorizedOperations(
  { authorizer, peer }: Pick<RequestContext, "authorizer" | "peer">,
  resource: Resource,
): number {
  if (!authorizer.isEnabled) return all[resource.kind];
  return bits(known[resource.kind].filter((operation) => authorizer.allows(peer.principal, operation, resource)));
}

/** Of the cluster nothing is told to who may not describe it. */
export function authorizedClusterOperations(context: Pick<RequestContext, "authorizer" | "peer">): number {
  const { authorizer, peer } = context;
  const cluster = { kind: "cluster" } as const;
  return authorizer.allows(peer.principal, "describe", cluster) ? authorizedOperations(context, cluster) : 0;
}
