/**
 * Fetch: reads, and waits for more where there is too little ("long poll"). Within a session (KIP-227) the request names
 * only the partitions that changed, and the answer only those with something to tell: fetch-session.ts.
 */
import type { ErrorCode } from "../../../shared/errors.ts";
import { toStreamError } from "../../../shared/errors.ts";
import type { TopicInfo } from "../../engine/engine.ts";
import { mayTopic } from "../../access/authorize.ts";
import { bytesAvailable, readPartitions } from "../fetch-read.ts";
import type { Fetched, Wanted } from "../fetch-read.ts";
import type { AskedPartition, NamedPartition } from "../fetch-session.ts";
import { NO_SESSION } from "../fetch-sessions.ts";
import type { FetchOutcome } from "../fetch-sessions.ts";
import { handler, NO_ERROR, wireCode } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import { needsPlainBatches, toPlainBatches } from "../plain-batches.ts";
import type { RequestOf, ResponseOf } from "../schema.ts";
import { fetchApi } from "../schemas/records.ts";
import type { Watched } from "../../engine/purgatory.ts";

const TOPIC_IDS_FROM_VERSION = 13;
const READ_COMMITTED = 1;
const NO_REPLICA = -1;
const NO_BYTES: readonly Buffer[] = [];

type FetchRequest = RequestOf<typeof fetchApi>;
type FetchResponse = ResponseOf<typeof fetchApi>;
type TopicAnswer = FetchResponse["responses"][number];
type PartitionAnswer = TopicAnswer["partitions"][number];
type Named = Pick<NamedPartition, "topicKey" | "topic" | "topicId">;

export const fetch = handler(fetchApi, async (request, context): Promise<FetchResponse> => {
  const usesTopicIds = context.version >= TOPIC_IDS_FROM_VERSION;
  const asked = askedPartitions(request, usesTopicIds);
  // Followers read beyond the high watermark; there are none here (CVE-2018-1288).
  if (request.replicaId !== NO_REPLICA || request.replicaState.replicaId !== NO_REPLICA) {
    return respond(request, { sessionId: NO_SESSION, told: undefined }, asked, refusedAll(asked));
  }
  const { sessionId, sessionEpoch } = request;
  const plan = context.fetchSessions.begin({
    ...{ sessionId, sessionEpoch, usesTopicIds },
    owner: context.peer.principal.name,
    partitions: asked,
    forgotten: forgottenPartitions(request, usesTopicIds),
  });
  if (typeof plan === "string") return sessionRefused(plan);
  const read = await readOrWait(wantedPartitions(plan.asked, usesTopicIds, context), request, context);
  const fetched = needsPlainBatches(context.version, context.peer) ? read.map(plain) : read;
  const outcome = context.fetchSessions.finish(plan, fetched);
  return typeof outcome === "string" ? sessionRefused(outcome) : respond(request, outcome, plan.asked, fetched);
});

const sessionRefused = (error: ErrorCode): FetchResponse => ({
  errorCode: wireCode(error),
  sessionId: NO_SESSION,
  responses: [],
});

function plain(each: Fetched): Fetched {
  try {
    return { ...each, batches: toPlainBatches(each.batches) };
  } catch (error) {
    return { ...each, error: toStreamError(error).code, batches: NO_BYTES, bytes: 0 };
  }
}

function askedPartitions({ topics }: FetchRequest, usesTopicIds: boolean): readonly AskedPartition[] {
  return topics.flatMap((topic) => {
    const named = nameOf(topic, usesTopicIds);
    return topic.partitions.map(({ partition, fetchOffset, currentLeaderEpoch, partitionMaxBytes }) => ({
      ...named,
      partition,
      fetchOffset,
      currentLeaderEpoch,
      bytesMax: partitionMaxBytes,
    }));
  });
}

function forgottenPartitions({ forgottenTopicsData }: FetchRequest, usesTopicIds: boolean): readonly NamedPartition[] {
  return forgottenTopicsData.flatMap((topic) => {
    const named = nameOf(topic, usesTopicIds);
    return topic.partitions.map((partition) => ({ ...named, partition }));
  });
}

/** The id is copied: what a session keeps must not keep the request alive. */
function nameOf({ topic, topicId }: Pick<Named, "topic" | "topicId">, usesTopicIds: boolean): Named {
  return { topicKey: usesTopicIds ? topicId.toString("latin1") : topic, topic, topicId: Buffer.from(topicId) };
}

/** Topics and permissions are looked up anew for each request: a session keeps what was asked, not what it led to. */
function wantedPartitions(
  asked: readonly AskedPartition[],
  usesTopicIds: boolean,
  context: RequestContext,
): readonly Wanted[] {
  const topicById = context.topicIds.forRequest();
  const found = new Map<string, Pick<Wanted, "topic" | "error">>();
  const find = ({ topicKey, topic: name, topicId }: AskedPartition): Pick<Wanted, "topic" | "error"> => {
    const known = found.get(topicKey);
    if (known !== undefined) return known;
    const info = usesTopicIds ? topicById(topicId) : context.engine.topics.get(name);
    const error = errorOf(usesTopicIds ? info?.name : name, info, context);
    const each = { topic: info?.name ?? name, error };
    found.set(topicKey, each);
    return each;
  };
  return asked.map((each) => {
    const { partition, fetchOffset, currentLeaderEpoch, bytesMax } = each;
    const { topic, error } = find(each);
    return { topic, partition, fetchOffset, currentLeaderEpoch, bytesMax, error };
  });
}

/** A topic that may not be read looks the same whether it exists or not, unless the client knows its id. */
function errorOf(
  name: string | undefined,
  topic: TopicInfo | undefined,
  context: RequestContext,
): ErrorCode | undefined {
  if (name === undefined) return "UNKNOWN_TOPIC_ID";
  if (!mayTopic(context, "read", name)) return "TOPIC_AUTHORIZATION_FAILED";
  return topic === undefined ? "UNKNOWN_TOPIC_OR_PARTITION" : undefined;
}

/** Reads until there is enough, something is wrong, the time is over, or the client is gone. */
async function readOrWait(
  partitions: readonly Wanted[],
  request: FetchRequest,
  { engine, clock, options, purgatory, peer }: RequestContext,
): Promise<readonly Fetched[]> {
  const bytesMax = Math.min(request.maxBytes, options.fetchBytesMax);
  const bytesMin = Math.min(request.minBytes, bytesMax);
  const deadlineMs = clock.monotonicMs() + Math.min(request.maxWaitMs, options.fetchWaitMsMax);
  let enough = bytesMin;
  for (;;) {
    const fetched = await readPartitions(engine, partitions, bytesMax);
    const bytesMissing = enough - countedBytes(fetched);
    const waitMs = deadlineMs - clock.monotonicMs();
    const isFinal = partitions.length === 0 || fetched.some(({ error }) => error !== null);
    if (isFinal || bytesMissing <= 0 || waitMs <= 0 || peer.closed.aborted) return fetched;
    const reason = await purgatory.park({
      partitions: fetched.map(watchFrom),
      bytesMissing,
      waitMs,
      closed: peer.closed,
    });
    if (reason === "closed") return fetched;
    if (reason === "expired") return readPartitions(engine, partitions, bytesMax);
    // Enough has been counted: what the next read finds is the answer, though not all of it may fit.
    if (reason === "enough") enough = 1;
  }
}

function countedBytes(fetched: readonly Fetched[]): number {
  let bytes = 0;
  for (const each of fetched) bytes += bytesAvailable(each);
  return bytes;
}

function watchFrom({ wanted, bytes, offsets }: Fetched): Watched {
  const { topic, partition, fetchOffset, bytesMax } = wanted;
  return {
    topic,
    partition,
    fetchOffset,
    highWatermark: offsets.highWatermark,
    bytesRoom: Math.max(0, bytesMax - bytes),
  };
}

function refusedAll(asked: readonly AskedPartition[]): readonly Fetched[] {
  return asked.map((each) => ({
    wanted: { ...each, error: "INVALID_REQUEST" },
    error: "INVALID_REQUEST",
    offsets: { logStartOffset: -1, highWatermark: -1 },
    batches: NO_BYTES,
    bytes: 0,
    isHole: false,
  }));
}

/** `fetched` belongs to `asked`, one for one. */
function respond(
  { isolationLevel }: FetchRequest,
  { sessionId, told }: FetchOutcome,
  asked: readonly AskedPartition[],
  fetched: readonly Fetched[],
): FetchResponse {
  const abortedTransactions = isolationLevel === READ_COMMITTED ? [] : null;
  const responses = new Map<string, Omit<TopicAnswer, "partitions"> & { readonly partitions: PartitionAnswer[] }>();
  for (const [index, { wanted, error, offsets, batches }] of fetched.entries()) {
    const named = asked[index];
    if (named === undefined || told?.has(index) === false) continue;
    const { topicKey, topic, topicId } = named;
    let answer = responses.get(topicKey);
    if (answer === undefined) {
      answer = { topic, topicId, partitions: [] };
      responses.set(topicKey, answer);
    }
    answer.partitions.push({
      partitionIndex: wanted.partition,
      errorCode: wireCode(error),
      highWatermark: offsets.highWatermark,
      lastStableOffset: offsets.highWatermark,
      logStartOffset: offsets.logStartOffset,
      abortedTransactions,
      records: batches,
    });
  }
  return { errorCode: NO_ERROR, sessionId, responses: Array.from(responses.values()) };
}
