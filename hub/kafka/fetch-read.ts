/**
 * The reading part of Fetch: whole batches of the wanted partitions, in the order of the request, within its bytes.
 *
 *   budget   [=== p0 ===][== p1 ==][ p2: first batch does not fit: empty ]
 *
 * The first batch of the first partition that has one is returned whatever its size, so that every consumer gets on.
 * Batches go out as they are stored: one may begin before the offset that was asked for; clients skip what they know.
 * Source: ReplicaManager.readFromLog.
 */
import { readBatchHeader, splitBatches } from "../../shared/batch/record-batch.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { StreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import type { Engine, PartitionOffsets, ReadResult, TopicPartition } from "../engine/engine.ts";
import { LEADER_EPOCH } from "./options.ts";

export type Wanted = TopicPartition & {
  readonly fetchOffset: Offset;
  /** -1 when the client does not check. */
  readonly currentLeaderEpoch: number;
  readonly bytesMax: number;
  /** Known before reading: the topic id of the request belongs to no topic. */
  readonly error: ErrorCode | undefined;
};

export type Fetched = {
  readonly wanted: Wanted;
  readonly error: ErrorCode | null;
  readonly offsets: { readonly logStartOffset: Offset; readonly highWatermark: Offset };
  readonly batches: readonly Buffer[];
  readonly bytes: number;
  /** From here to the high watermark nothing can be read: what is there is damaged. */
  readonly isHole: boolean;
};

/** What Kafka reports beside an error. */
const noOffsets = { logStartOffset: -1, highWatermark: -1 };
const noBatches: readonly Buffer[] = [];

const NO_EPOCH_CHECK = -1;

function failed(wanted: Wanted, error: ErrorCode): Fetched {
  return { wanted, error, offsets: noOffsets, batches: noBatches, bytes: 0, isHole: false };
}

export async function readPartitions(
  engine: Engine,
  partitions: readonly Wanted[],
  bytesMax: number,
): Promise<readonly Fetched[]> {
  const fetched: Fetched[] = [];
  let budget = bytesMax;
  let gotAny = false;
  for (const wanted of partitions) {
    const limit = Math.min(wanted.bytesMax, budget);
    const pending = readPartition(engine, wanted, { bytesMax: Math.max(0, limit), atLeastOne: !gotAny });
    const each = pending instanceof Promise ? await pending : pending;
    fetched.push(each);
    if (each.bytes > 0) {
      gotAny = true;
      budget -= each.bytes;
    }
  }
  return fetched;
}

type ReadLimits = { readonly bytesMax: number; readonly atLeastOne: boolean };

/** Synchronous when the engine is: at the tail of the log nothing waits. */
function readPartition(engine: Engine, wanted: Wanted, limits: ReadLimits): Fetched | Promise<Fetched> {
  const { topic, partition, fetchOffset, currentLeaderEpoch } = wanted;
  if (wanted.error !== undefined) return failed(wanted, wanted.error);
  try {
    const offsets = engine.offsets({ topic, partition });
    if (currentLeaderEpoch !== NO_EPOCH_CHECK && currentLeaderEpoch !== LEADER_EPOCH) {
      return failed(wanted, currentLeaderEpoch > LEADER_EPOCH ? "UNKNOWN_LEADER_EPOCH" : "FENCED_LEADER_EPOCH");
    }
    if (fetchOffset < offsets.logStartOffset || fetchOffset > offsets.logEndOffset) {
      return failed(wanted, "OFFSET_OUT_OF_RANGE");
    }
    const isAtEnd = fetchOffset >= offsets.highWatermark;
    if (isAtEnd || (limits.bytesMax === 0 && !limits.atLeastOne)) return succeeded(wanted, offsets, noBatches);
    const result = engine.read({ topic, partition, offset: fetchOffset, ...limits });
    const got = (read: ReadResult): Fetched => ({
      ...succeeded(wanted, read, read.batches),
      isHole: limits.atLeastOne && read.batches.length === 0,
    });
    if (!(result instanceof Promise)) return got(result);
    return result.then(got, (error: unknown) => failedBy(wanted, error));
  } catch (error) {
    return failedBy(wanted, error);
  }
}

function failedBy(wanted: Wanted, error: unknown): Fetched {
  if (error instanceof StreamError) return failed(wanted, error.code);
  throw error;
}

function succeeded(
  wanted: Wanted,
  { logStartOffset, highWatermark }: Pick<PartitionOffsets, "logStartOffset" | "highWatermark">,
  batches: readonly Buffer[],
): Fetched {
  let bytes = 0;
  for (const batch of batches) bytes += batch.length;
  return { wanted, error: null, offsets: { logStartOffset, highWatermark }, batches, bytes, isHole: false };
}

/**
 * Bytes that count towards `min_bytes`: what was read, or the partition's whole limit when more lies behind it that did
 * not fit. A hole up to the end counts nothing: whoever stands before it waits for what comes next, as at the end.
 */
export function bytesAvailable({ wanted, batches, bytes, offsets, isHole }: Fetched): number {
  if (isHole) return 0;
  return endOffset(batches, wanted.fetchOffset) < offsets.highWatermark ? Math.max(bytes, wanted.bytesMax) : bytes;
}

function endOffset(batches: readonly Buffer[], fetchOffset: Offset): Offset {
  const chunk = batches.at(-1);
  if (chunk === undefined) return fetchOffset;
  let end = fetchOffset;
  for (const batch of splitBatches(chunk)) {
    const { baseOffset, lastOffsetDelta } = readBatchHeader(batch);
    end = baseOffset + lastOffsetDelta + 1;
  }
  return end;
}
