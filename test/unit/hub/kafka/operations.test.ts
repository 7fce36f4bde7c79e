import assert from "node:assert/strict";
import { test } from "node:test";
import type { Acl } from "../../../../hub/access/acl.ts";
import { aclAuthorizer } from "../../../../hub/access/acl-authorizer.ts";
import { allowAll } from "../../../../hub/access/authorizer.ts";
import type { Operation, Resource } from "../../../../hub/access/authorizer.ts";
import { authorizedClusterOperations, authorizedOperations } from "../../../../hub/kafka/operations.ts";
import { describeClusterApi } from "../../../../hub/kafka/schemas/cluster.ts";
import { describeGroupsApi } from "../../../../hub/kafka/schemas/groups.ts";
import { metadataApi } from "../../../../hub/kafka/schemas/topics.ts";
import { ask, kafkaServices, testPeer } from "../../../support/kafka-hub.ts";

const topic = (name: string): Resource => ({ kind: "topic", name });
const group = (name: string): Resource => ({ kind: "group", name });
const cluster: Resource = { kind: "cluster" };
const rule = (resource: Acl["resource"], name: string, ...operations: Operation[]): Acl => ({
  resource,
  name,
  pattern: "literal",
  operations,
});

const as = (...acls: Acl[]) => ({
  authorizer: aclAuthorizer([{ name: "alice", isSuperuser: false, acls }]),
  peer: { ...testPeer(), principal: { name: "alice" } },
});
/** AclOperation.java: READ 3, WRITE 4, CREATE 5, DELETE 6, ALTER 7, DESCRIBE 8, … */
const bits = (...codes: number[]): number => codes.reduce((set, code) => set | (1 << code), 0);

test("without users the sets are full: what Kafka says without an authorizer", () => {
  const context = { authorizer: allowAll, peer: testPeer() };
  assert.equal(authorizedOperations(context, topic("t")), bits(3, 4, 5, 6, 7, 8, 10, 11));
  assert.equal(authorizedOperations(context, group("g")), bits(3, 6, 8));
  assert.equal(authorizedClusterOperations(context), bits(5, 7, 8, 9, 10, 11, 12));
});

test("a user is shown what it may do, with what is implied, and no operation that the resource does not know", () => {
  const context = as(rule("topic", "t", "read", "alterConfigs", "idempotentWrite"), rule("group", "g", "delete"));
  assert.equal(authorizedOperations(context, topic("t")), bits(3, 8, 10, 11));
  assert.equal(authorizedOperations(context, topic("other")), 0);
  assert.equal(authorizedOperations(context, group("g")), bits(6, 8));
  assert.equal(authorizedOperations(context, cluster), 0);
});

test("of the cluster nothing is told to who may not describe it", () => {
  assert.equal(authorizedClusterOperations(as(rule("cluster", "*", "create", "clusterAction"))), 0);
  assert.equal(authorizedClusterOperations(as(rule("cluster", "*", "create", "alter"))), bits(5, 7, 8));
});

test("Metadata, DescribeGroups and DescribeCluster answer with the user's own sets", async () => {
  const { authorizer, peer } = as(
    rule("topic", "t", "read"),
    rule("group", "g", "read"),
    rule("cluster", "*", "describe"),
  );
  const services = { ...kafkaServices(), authorizer };
  await services.engine.createTopic({ name: "t", partitionCount: 1 });
  const topics = [{ name: "t", topicId: Buffer.alloc(16) }];
  const all = { includeClusterAuthorizedOperations: true, includeTopicAuthorizedOperations: true };
  const metadata = await ask(services, { api: metadataApi, version: 9, request: { topics, ...all } }, peer);
  assert.deepEqual(
    [metadata?.clusterAuthorizedOperations, metadata?.topics[0]?.topicAuthorizedOperations],
    [bits(8), bits(3, 8)],
  );
  const groups = { groups: ["g"], includeAuthorizedOperations: true };
  const described = await ask(services, { api: describeGroupsApi, version: 5, request: groups }, peer);
  assert.equal(described?.groups[0]?.authorizedOperations, bits(3, 8));
  const question = { api: describeClusterApi, version: 1, request: all };
  assert.equal((await ask(services, question, peer))?.clusterAuthorizedOperations, bits(8));
});
