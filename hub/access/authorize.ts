/**
 * The questions that handlers ask before they serve a request, and the errors when the answer is no. Each asks before
 * it looks whether the resource exists: who may not describe it must not learn that either.
 */
import { StreamError } from "../../shared/errors.ts";
import type { Authorizer, Operation } from "./authorizer.ts";
import type { Principal } from "./principal.ts";

export type Asking = { readonly authorizer: Authorizer; readonly peer: { readonly principal: Principal } };

const cluster = { kind: "cluster" } as const;

export const mayTopic = ({ authorizer, peer }: Asking, operation: Operation, name: string): boolean =>
  !authorizer.isEnabled || authorizer.allows(peer.principal, operation, { kind: "topic", name });

export const mayGroup = ({ authorizer, peer }: Asking, operation: Operation, name: string): boolean =>
  !authorizer.isEnabled || authorizer.allows(peer.principal, operation, { kind: "group", name });

export const mayCluster = ({ authorizer, peer }: Asking, operation: Operation): boolean =>
  !authorizer.isEnabled || authorizer.allows(peer.principal, operation, cluster);

/** Creation is allowed for all topics together, by the cluster, or by name. */
export const mayCreateTopic = (asking: Asking, name: string): boolean =>
  mayCluster(asking, "create") || mayTopic(asking, "create", name);

/** Producer ids are for who may write somewhere, or has been allowed them for themselves (KIP-679). */
export const mayHaveProducerId = (asking: Asking): boolean =>
  mayCluster(asking, "idempotentWrite") || asking.authorizer.allowsSome(asking.peer.principal, "write", "topic");

/** @throws StreamError TOPIC_AUTHORIZATION_FAILED. */
export function checkTopic(asking: Asking, operation: Operation, name: string): void {
  if (!mayTopic(asking, operation, name)) throw topicRefused(asking, operation, name);
}

/** @throws StreamError CLUSTER_AUTHORIZATION_FAILED. */
export function checkCluster(asking: Asking, operation: Operation): void {
  if (!mayCluster(asking, operation)) throw clusterRefused(asking, operation);
}

export const topicRefused = (asking: Asking, operation: Operation, name: string): StreamError =>
  new StreamError("TOPIC_AUTHORIZATION_FAILED", `${userOf(asking)} has no permission "${operation}" for topic ${name}`);

export const clusterRefused = (asking: Asking, operation: Operation): StreamError =>
  new StreamError("CLUSTER_AUTHORIZATION_FAILED", `${userOf(asking)} has no permission "${operation}" for the cluster`);

const userOf = ({ peer }: Asking): string => `User:${peer.principal.name}`;
