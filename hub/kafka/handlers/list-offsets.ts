/** ListOffsets: where a partition begins and ends, and which record is the first at or after a time. */
import { StreamError } from "../../../shared/errors.ts";
import type { TopicPartition } from "../../engine/engine.ts";
import { checkTopic } from "../../access/authorize.ts";
import { handler, inTurn, NO_ERROR, settle } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import { LEADER_EPOCH } from "../options.ts";
import type { RequestOf, ResponseOf } from "../schema.ts";
import { listOffsetsApi } from "../schemas/records.ts";

/** Timestamps that stand for positions (ListOffsetsRequest.java). */
const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
/** Tiered storage (KIP-405, KIP-1005): nothing is tiered, so local is all and tiered is nothing. */
const EARLIEST_LOCAL = -4;
const LATEST_TIERED = -5;
/** Positions that not all versions know. */
const firstVersions: ReadonlyMap<number, number> = new Map([
  [LATEST, 1],
  [EARLIEST, 1],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
]);

type Asked = RequestOf<typeof listOffsetsApi>["topics"][number]["partitions"][number];
type Answer = ResponseOf<typeof listOffsetsApi>["topics"][number]["partitions"][number];
type Found = { readonly offset: number; readonly timestamp: number; readonly leaderEpoch: number };

const nothing: Found = { offset: -1, timestamp: -1, leaderEpoch: -1 };
const position = (offset: number): Found => ({ offset, timestamp: -1, leaderEpoch: LEADER_EPOCH });

export const listOffsets = handler(listOffsetsApi, async (request, context) => ({
  topics: await inTurn(request.topics, async ({ name, partitions }) => ({
    name,
    partitions: await inTurn(partitions, (asked) => answer(name, asked, context)),
  })),
}));

async function answer(topic: string, asked: Asked, context: RequestContext): Promise<Answer> {
  const found = await settle(() => find({ topic, partition: asked.partitionIndex }, asked, context));
  if (found instanceof StreamError) return { partitionIndex: asked.partitionIndex, errorCode: found.wire, ...nothing };
  return { partitionIndex: asked.partitionIndex, errorCode: NO_ERROR, ...found };
}

async function find(at: TopicPartition, asked: Asked, context: RequestContext): Promise<Found> {
  const { engine, version } = context;
  checkTopic(context, "describe", at.topic);
  const { logStartOffset, highWatermark } = engine.offsets(at);
  checkLeaderEpoch(asked.currentLeaderEpoch);
  const { timestamp } = asked;
  if (timestamp < 0 && version < (firstVersions.get(timestamp) ?? Infinity)) {
    throw new StreamError("UNSUPPORTED_VERSION", `the timestamp ${timestamp} has no meaning in version ${version}`);
  }
  if (timestamp === LATEST) return position(highWatermark);
  if (timestamp === EARLIEST || timestamp === EARLIEST_LOCAL) return position(logStartOffset);
  if (timestamp === LATEST_TIERED) return nothing;
  const found = await (timestamp === MAX_TIMESTAMP
    ? engine.maxTimestamp(at)
    : engine.offsetForTimestamp(at, timestamp));
  return found === undefined ? nothing : { ...found, leaderEpoch: LEADER_EPOCH };
}

/** -1 is "do not check". */
function checkLeaderEpoch(epoch: number): void {
  if (epoch === -1 || epoch === LEADER_EPOCH) return;
  const code = epoch > LEADER_EPOCH ? "UNKNOWN_LEADER_EPOCH" : "FENCED_LEADER_EPOCH";
  throw new StreamError(code, `leader epoch ${epoch}, the hub's is ${LEADER_EPOCH}`);
}
