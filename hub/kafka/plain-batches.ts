/**
 * Agents compress with zstd, and not every Kafka client can read it: KafkaJS needs a plug-in for it and stops without
 * one, though the version of its Fetch says that it knows zstd (KIP-110). So clients that neither say what they are
 * (ApiVersions 3, KIP-511) nor speak a Fetch that only newer clients have get these batches decompressed. All other
 * batches, and those for all other clients, go out as they are stored.
 */
import { codecOf, readBatchHeader, splitBatches } from "../../shared/batch/record-batch.ts";
import { decompressBatch } from "../../shared/batch/records.ts";
import type { Peer } from "./handler.ts";

/** The first version of Fetch that KafkaJS does not have. */
const MODERN_FETCH_VERSION = 12;

export function needsPlainBatches(fetchVersion: number, peer: Pick<Peer, "isIdentified">): boolean {
  return fetchVersion < MODERN_FETCH_VERSION && !peer.isIdentified;
}

/** @throws StreamError CORRUPT_RECORD, MESSAGE_TOO_LARGE. */
export function toPlainBatches(chunks: readonly Buffer[]): readonly Buffer[] {
  return chunks.flatMap((chunk) => [...splitBatches(chunk)].map(toPlainBatch));
}

function toPlainBatch(batch: Buffer): Buffer {
  return codecOf(readBatchHeader(batch)) === "zstd" ? decompressBatch(batch) : batch;
}
