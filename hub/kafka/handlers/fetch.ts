/**
 * Fetch: reads, and waits for more where there is too little ("long poll"). Sessions (KIP-227) are never opened: the
 * session id 0 of every answer tells clients to send the full list of partitions again.
 */
import type { ErrorCode } from "../../../shared/errors.ts";
import { toStreamError } from "../../../shared/errors.ts";
import { bytesAvailable, readPartitions } from "../fetch-read.ts";
import type { Fetched, Wanted } from "../fetch-read.ts";
import { handler, NO_ERROR, wireCode } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import { needsPlainBatches, toPlainBatches } from "../plain-batches.ts";
import type { RequestOf, ResponseOf } from "../schema.ts";
import { fetchApi } from "../schemas/records.ts";
import type { Watched } from "../purgatory.ts";

const TOPIC_IDS_FROM_VERSION = 13;
const READ_COMMITTED = 1;
const NO_REPLICA = -1;
const NO_BYTES: readonly Buffer[] = [];

type FetchRequest = RequestOf<typeof fetchApi>;
type FetchResponse = ResponseOf<typeof fetchApi>;
type WantedTopic = Pick<FetchRequest["topics"][number], "topic" | "topicId"> & { readonly partitions: Wanted[] };

export const fetch = handler(fetchApi, async (request, context): Promise<FetchResponse> => {
  const topics = wantedTopics(request, context);
  // Followers read beyond the high watermark; there are none here (CVE-2018-1288).
  if (request.replicaId !== NO_REPLICA || request.replicaState.replicaId !== NO_REPLICA) {
    return respond(request, topics, refusedAll(topics));
  }
  const fetched = await readOrWait(
    topics.flatMap(({ partitions }) => partitions),
    request,
    context,
  );
  return respond(request, topics, needsPlainBatches(context.version, context.peer) ? fetched.map(plain) : fetched);
});

function plain(each: Fetched): Fetched {
  try {
    return { ...each, batches: toPlainBatches(each.batches) };
  } catch (error) {
    return { ...each, error: toStreamError(error).code, batches: NO_BYTES, bytes: 0 };
  }
}

function wantedTopics(request: FetchRequest, context: RequestContext): WantedTopic[] {
  const topicById = context.topicIds.forRequest();
  return request.topics.map(({ topic: name, topicId, partitions }) => {
    const byId = context.version >= TOPIC_IDS_FROM_VERSION;
    const topic = byId ? topicById(topicId) : context.engine.topics.get(name);
    const error: ErrorCode = byId ? "UNKNOWN_TOPIC_ID" : "UNKNOWN_TOPIC_OR_PARTITION";
    return {
      topic: name,
      topicId,
      partitions: partitions.map(({ partition, fetchOffset, currentLeaderEpoch, partitionMaxBytes }) => ({
        topic: topic?.name ?? name,
        partition,
        fetchOffset,
        currentLeaderEpoch,
        bytesMax: partitionMaxBytes,
        error: topic === undefined ? error : undefined,
      })),
    };
  });
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

function refusedAll(topics: readonly WantedTopic[]): readonly Fetched[] {
  return topics.flatMap(({ partitions }) =>
    partitions.map((wanted) => ({
      wanted,
      error: "INVALID_REQUEST" as const,
      offsets: { logStartOffset: -1, highWatermark: -1 },
      batches: NO_BYTES,
      bytes: 0,
    })),
  );
}

/** `fetched` has one entry for each partition of `topics`, in order. */
function respond(request: FetchRequest, topics: readonly WantedTopic[], fetched: readonly Fetched[]): FetchResponse {
  const abortedTransactions = request.isolationLevel === READ_COMMITTED ? [] : null;
  let next = 0;
  return {
    errorCode: NO_ERROR,
    sessionId: 0,
    responses: topics.map(({ topic, topicId, partitions }) => {
      const from = next;
      next += partitions.length;
      return {
        topic,
        topicId,
        partitions: fetched.slice(from, next).map(({ wanted, error, offsets, batches }) => ({
          partitionIndex: wanted.partition,
          errorCode: wireCode(error),
          highWatermark: offsets.highWatermark,
          lastStableOffset: offsets.highWatermark,
          logStartOffset: offsets.logStartOffset,
          abortedTransactions,
          records: batches,
        })),
      };
    }),
  };
}
