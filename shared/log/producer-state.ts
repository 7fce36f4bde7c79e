/**
 * Idempotence (KIP-98): decides by a producer's own numbers whether a batch is new, was stored before, or must not be
 * stored. Pure; the log keeps the state in the same transaction as the batch.
 *
 *   epoch older                                    fenced
 *   epoch newer, sequence 0                        accept, forget the older epoch
 *   epoch newer, other sequence                    out of order
 *   same epoch, a batch of the last five again     duplicate: answer with the offset of then
 *   same epoch, last + 1                           accept
 *   same epoch, anything else                      out of order
 *   nothing known of the producer                  accept any sequence
 *
 * Source: Kafka's ProducerAppendInfo.
 */
import type { Offset, ProducerEpoch, Sequence } from "../ids.ts";
import { sequenceAfter } from "../ids.ts";

/** As many as a client may have in flight; an older one sent again cannot be told from a gap. */
export const REMEMBERED_BATCHES_MAX = 5;

export type RememberedBatch = {
  readonly firstSequence: Sequence;
  readonly lastSequence: Sequence;
  readonly baseOffset: Offset;
};

export type ProducerState = {
  readonly epoch: ProducerEpoch;
  readonly lastSequence: Sequence;
  /** Ever stored of the producer in the partition, over all epochs. */
  readonly records: number;
  /** The newest last, at most REMEMBERED_BATCHES_MAX. */
  readonly recent: readonly RememberedBatch[];
};

export type ProducedBatch = {
  readonly epoch: ProducerEpoch;
  readonly baseSequence: Sequence;
  readonly recordCount: number;
};

export type ProducerVerdict =
  | { readonly type: "accept" }
  | { readonly type: "duplicate"; readonly baseOffset: Offset }
  | { readonly type: "fenced" }
  | { readonly type: "out-of-order"; readonly expected: Sequence };

export function judge(state: ProducerState | undefined, batch: ProducedBatch): ProducerVerdict {
  if (state === undefined) return { type: "accept" };
  if (batch.epoch < state.epoch) return { type: "fenced" };
  if (batch.epoch > state.epoch) {
    return batch.baseSequence === 0 ? { type: "accept" } : { type: "out-of-order", expected: 0 };
  }
  const lastSequence = sequenceAfter(batch.baseSequence, batch.recordCount - 1);
  for (const known of state.recent) {
    if (known.firstSequence === batch.baseSequence && known.lastSequence === lastSequence) {
      return { type: "duplicate", baseOffset: known.baseOffset };
    }
  }
  const expected = sequenceAfter(state.lastSequence, 1);
  return batch.baseSequence === expected ? { type: "accept" } : { type: "out-of-order", expected };
}

/** The state after an accepted batch was stored at `baseOffset`. */
export function remember(state: ProducerState | undefined, batch: ProducedBatch, baseOffset: Offset): ProducerState {
  const lastSequence = sequenceAfter(batch.baseSequence, batch.recordCount - 1);
  const stored = { firstSequence: batch.baseSequence, lastSequence, baseOffset };
  const recent = state !== undefined && state.epoch === batch.epoch ? state.recent : [];
  const records = (state?.records ?? 0) + batch.recordCount;
  return { epoch: batch.epoch, lastSequence, records, recent: [...recent, stored].slice(-REMEMBERED_BATCHES_MAX) };
}
