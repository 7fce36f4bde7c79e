/** What batch n of a producer holds, told by its number alone: after a cut it can be sent again to the byte. Pure. */
import { stampProducer } from "../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../shared/batch/records.ts";

export type ProducerPlan = {
  readonly name: string;
  readonly topic: string;
  readonly partition: number;
  readonly producerId: string;
  readonly producerEpoch: number;
  /** `keyed`: records of few keys that supersede each other, and tombstones. */
  readonly kind: "plain" | "keyed";
  /** Number of the first record; counts on over a topic's producers, so that newer values have greater numbers. */
  readonly first: number;
};

export const RECORDS_PER_BATCH = 4;
/** Squares leave seven remainders of it. */
const KEY_MODULUS = 13;
const TOMBSTONE_EVERY = 9;
const FILLER_BYTES_MAX = 200;
const CODECS = ["none", "zstd", "gzip"] as const;
/** Of every record of a keyed topic: tombstones have no value that could tell it. */
export const ID_HEADER = "id";

/** Of all records together: "publisher/number" where the publisher of a keyed record is its key. */
export function idsOf({ kind, name, partition, first }: ProducerPlan, batch: number): string[] {
  return Array.from({ length: RECORDS_PER_BATCH }, (_, index) => {
    const number = first + batch * RECORDS_PER_BATCH + index;
    // Unevenly: some keys are overwritten often, some stay long.
    return kind === "plain" ? `${name}/${number}` : `${partition}.k${(number * number) % KEY_MODULUS}/${number}`;
  });
}

export function keyOf(id: string): string {
  return id.slice(0, id.lastIndexOf("/"));
}

export function numberOf(id: string): number {
  return Number(id.slice(id.lastIndexOf("/") + 1));
}

export function isTombstone(id: string): boolean {
  return numberOf(id) % TOMBSTONE_EVERY === 0;
}

export function valueOf(id: string): string {
  return `${id} ${"x".repeat(numberOf(id) % FILLER_BYTES_MAX)}`;
}

export function batchOf(plan: ProducerPlan, batch: number): Buffer {
  const records = idsOf(plan, batch).map((id) => {
    const value = Buffer.from(valueOf(id));
    if (plan.kind === "plain") return { timestamp: 1, key: null, value };
    const headers = [{ key: ID_HEADER, value: Buffer.from(id) }];
    return { timestamp: 1, key: Buffer.from(keyOf(id)), value: isTombstone(id) ? null : value, headers };
  });
  const encoded = encodeRecords(records, CODECS[batch % CODECS.length]);
  const { producerId, producerEpoch } = plan;
  const baseSequence = batch * RECORDS_PER_BATCH;
  stampProducer(encoded, { producerId: BigInt(producerId), producerEpoch, baseSequence });
  return encoded;
}
