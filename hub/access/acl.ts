/**
 * Access control lists as the configuration holds them: users, and what each may do. There are only permissions, no
 * denials; what no rule gives is refused.
 */
import type { Operation } from "./authorizer.ts";

export type Acl = {
  readonly resource: "topic" | "group" | "cluster";
  /** Of a topic or group; "*" with the pattern "literal" stands for all. Not looked at for the cluster. */
  readonly name: string;
  readonly pattern: "literal" | "prefixed";
  readonly operations: readonly Operation[];
};

export type AccessUser = {
  readonly name: string;
  /** May do everything, without rules. */
  readonly isSuperuser: boolean;
  readonly acls: readonly Acl[];
};

const ANY_NAME = "*";

/** Whether the rule is about the topic or group of this name. */
export function coversName({ name, pattern }: Pick<Acl, "name" | "pattern">, asked: string): boolean {
  if (pattern === "prefixed") return asked.startsWith(name);
  return name === ANY_NAME || name === asked;
}

/** What else whoever has the key's operation may do, as in Kafka (AclOperation.java). */
const implied: Partial<Readonly<Record<Operation, Operation>>> = {
  read: "describe",
  write: "describe",
  delete: "describe",
  alter: "describe",
  alterConfigs: "describeConfigs",
};

export function withImplied(operations: readonly Operation[]): ReadonlySet<Operation> {
  const all = new Set<Operation>(operations);
  for (const operation of operations) {
    const other = implied[operation];
    if (other !== undefined) all.add(other);
  }
  return all;
}
