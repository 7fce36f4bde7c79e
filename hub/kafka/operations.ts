/**
 * Bit sets of Kafka's AclOperation codes that "authorized operations" fields hold. There is no authorizer, so a client
 * that asks may do everything that the resource knows.
 */
const operation = {
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
} as const;

const bits = (...names: readonly (keyof typeof operation)[]): number =>
  names.reduce((set, name) => set | (1 << operation[name]), 0);

export const TOPIC_OPERATIONS = bits(
  "read",
  "write",
  "create",
  "delete",
  "alter",
  "describe",
  "describeConfigs",
  "alterConfigs",
);
export const CLUSTER_OPERATIONS = bits(
  "create",
  "alter",
  "describe",
  "clusterAction",
  "describeConfigs",
  "alterConfigs",
  "idempotentWrite",
);
export const GROUP_OPERATIONS = bits("read", "delete", "describe");
