/** From a request frame to its handler, and from the handler's reply to a response frame. */
import { StreamError } from "../../shared/errors.ts";
import type { Handler, Peer, Reply, Services } from "./handler.ts";
import { alterConfigs } from "./handlers/alter-configs.ts";
import { apiVersions, unsupportedApiVersions } from "./handlers/api-versions.ts";
import { consumerGroupDescribe } from "./handlers/consumer-group-describe.ts";
import { consumerGroupHeartbeat } from "./handlers/consumer-group-heartbeat.ts";
import { createAcls } from "./handlers/create-acls.ts";
import { createPartitions } from "./handlers/create-partitions.ts";
import { createTopics } from "./handlers/create-topics.ts";
import { deleteAcls } from "./handlers/delete-acls.ts";
import { deleteGroups } from "./handlers/delete-groups.ts";
import { deleteRecords } from "./handlers/delete-records.ts";
import { deleteTopics } from "./handlers/delete-topics.ts";
import { describeAcls } from "./handlers/describe-acls.ts";
import { describeCluster } from "./handlers/describe-cluster.ts";
import { describeConfigs } from "./handlers/describe-configs.ts";
import { describeGroups } from "./handlers/describe-groups.ts";
import { describeLogDirs } from "./handlers/describe-log-dirs.ts";
import { describeProducers } from "./handlers/describe-producers.ts";
import { describeTopicPartitions } from "./handlers/describe-topic-partitions.ts";
import { describeTransactions } from "./handlers/describe-transactions.ts";
import { fetch } from "./handlers/fetch.ts";
import { findCoordinator } from "./handlers/find-coordinator.ts";
import { heartbeat } from "./handlers/heartbeat.ts";
import { incrementalAlterConfigs } from "./handlers/incremental-alter-configs.ts";
import { initProducerId } from "./handlers/init-producer-id.ts";
import { joinGroup } from "./handlers/join-group.ts";
import { leaveGroup } from "./handlers/leave-group.ts";
import { listGroups } from "./handlers/list-groups.ts";
import { listOffsets } from "./handlers/list-offsets.ts";
import { listPartitionReassignments } from "./handlers/list-partition-reassignments.ts";
import { listTransactions } from "./handlers/list-transactions.ts";
import { metadata } from "./handlers/metadata.ts";
import { offsetCommit } from "./handlers/offset-commit.ts";
import { offsetDelete } from "./handlers/offset-delete.ts";
import { offsetFetch } from "./handlers/offset-fetch.ts";
import { offsetForLeaderEpoch } from "./handlers/offset-for-leader-epoch.ts";
import { produce } from "./handlers/produce.ts";
import { saslAuthenticate } from "./handlers/sasl-authenticate.ts";
import { saslHandshake } from "./handlers/sasl-handshake.ts";
import { syncGroup } from "./handlers/sync-group.ts";
import { readClientId, readRequestStart, writeResponseHeader } from "./request-header.ts";
import { WireReader } from "./wire-reader.ts";
import { WireWriter } from "./wire-writer.ts";
import type { Frame } from "./wire-writer.ts";

const served: readonly Handler[] = [
  alterConfigs,
  consumerGroupDescribe,
  consumerGroupHeartbeat,
  createAcls,
  createPartitions,
  createTopics,
  deleteAcls,
  deleteGroups,
  deleteRecords,
  deleteTopics,
  describeAcls,
  describeCluster,
  describeConfigs,
  describeGroups,
  describeLogDirs,
  describeProducers,
  describeTopicPartitions,
  describeTransactions,
  fetch,
  findCoordinator,
  heartbeat,
  incrementalAlterConfigs,
  initProducerId,
  joinGroup,
  leaveGroup,
  listGroups,
  listOffsets,
  listPartitionReassignments,
  listTransactions,
  metadata,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  offsetForLeaderEpoch,
  produce,
  saslAuthenticate,
  saslHandshake,
  syncGroup,
];

export const handlers: ReadonlyMap<number, Handler> = new Map(
  [...served, apiVersions(served.map(({ api }) => api))].map((each) => [each.api.key, each]),
);

const API_VERSIONS_KEY = 18;

export type Dispatched = {
  /** Name of the API, for statistics. */
  readonly api: string;
  /** The response, or undefined when the request must not be answered. */
  readonly response: Frame | undefined | Promise<Frame | undefined>;
};

/**
 * Serves one request. What depends on the order of the requests has been done when it returns.
 *
 * @throws StreamError INVALID_REQUEST, UNSUPPORTED_VERSION or ILLEGAL_SASL_STATE: the connection must be closed, as Kafka does. A rejected
 * `response` means the same.
 */
export function dispatch(frame: Buffer, services: Services, peer: Peer): Dispatched {
  const reader = new WireReader(frame);
  const { apiKey, version, correlationId } = readRequestStart(reader);
  const found = handlers.get(apiKey);
  if (found === undefined) throw new StreamError("UNSUPPORTED_VERSION", `api key ${apiKey} is not served`);
  const { api } = found;
  if (peer.sasl?.mayServe(apiKey) === false) {
    throw new StreamError("ILLEGAL_SASL_STATE", `${api.name} before the connection is authenticated`);
  }
  if (version < api.first || version > api.last) {
    // KIP-511: a client that speaks a newer ApiVersions is answered in version 0 and tries again.
    if (apiKey === API_VERSIONS_KEY) return { api: api.name, response: respond(unsupportedApiVersions, 0) };
    throw new StreamError(
      "UNSUPPORTED_VERSION",
      `${api.name} version ${version} is not served, ${api.first} to ${api.last} are`,
    );
  }
  const clientId = readClientId(reader, api, version);
  const reply = found.serve(reader, { ...services, version, clientId, peer });
  const response =
    reply instanceof Promise ? reply.then((settled) => respond(settled, version)) : respond(reply, version);
  return { api: api.name, response };

  function respond(body: Reply, responseVersion: number): Frame | undefined {
    if (body === undefined) return undefined;
    const writer = new WireWriter();
    writeResponseHeader(writer, { api, version: responseVersion, correlationId });
    body(writer);
    return writer.finish();
  }
}
