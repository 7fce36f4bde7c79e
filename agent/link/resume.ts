/**
 * Where a partition goes on after a connection: what the hub holds of it against what the agent holds. Pure.
 *
 * An epoch is a run of offsets without a gap; sequence = offset − first offset of the epoch (mod 2^31). A sequence is
 * never used for two different records, so whenever the hub's memory and the log do not fit together, a new epoch begins.
 *
 *   hub knows           log                                   goes on
 *   nothing             first offset of the epoch still there  there, same epoch
 *   nothing             trimmed since                          new epoch at the log start, gap before it
 *   our epoch           next offset within the log             there, same epoch
 *   our epoch           next offset trimmed since              new epoch at the log start, gap before it
 *   our epoch           next offset beyond what a restart      new epoch at the recovered end: the log lost records that
 *                       found (`unverifiedFrom`)               the hub has, and has given their offsets to others
 *   an older epoch      as if it knew nothing of this one
 *   a newer epoch       an old image of the agent              above the hub's, at the recovered end
 */
import type { Offset, ProducerEpoch, Sequence } from "../../shared/ids.ts";

const SEQUENCE_COUNT = 2 ** 31;

export type LocalState = {
  readonly logStartOffset: Offset;
  readonly logEndOffset: Offset;
  /** Where the log ended when the agent started, if the hub has not been asked since: later offsets may be used twice. */
  readonly unverifiedFrom: Offset | undefined;
  /** Of the last batch sent; undefined before the first. */
  readonly epoch: { readonly number: ProducerEpoch; readonly firstOffset: Offset } | undefined;
  /** With acks none: what counts as delivered although the hub may not have it. */
  readonly deliveredTo: Offset | undefined;
};

export type HubState = { readonly epoch: ProducerEpoch; readonly lastSequence: Sequence } | undefined;

export type Resumption = {
  readonly nextOffset: Offset;
  readonly epoch: { readonly number: ProducerEpoch; readonly firstOffset: Offset };
  /** The epoch is to be written down before it is used. */
  readonly isNewEpoch: boolean;
  /** Offsets that will never arrive: first and last. */
  readonly gap: { readonly from: Offset; readonly to: Offset } | undefined;
};

export function resume(local: LocalState, hub: HubState): Resumption {
  const { epoch } = local;
  if (epoch === undefined) return begin(local, hub);
  if (hub !== undefined && hub.epoch > epoch.number) {
    return newEpoch(hub.epoch + 1, local.unverifiedFrom ?? local.logEndOffset);
  }
  if (hub === undefined || hub.epoch < epoch.number) return goOn(local, epoch, epoch.firstOffset);
  const next = offsetAfter(epoch.firstOffset, hub.lastSequence, local.logEndOffset);
  const verifiedTo = local.unverifiedFrom ?? local.logEndOffset;
  if (next > verifiedTo) return newEpoch(epoch.number + 1, Math.max(verifiedTo, local.logStartOffset));
  return goOn(local, epoch, next);
}

/** Nothing was ever sent of this partition, as far as the agent knows. */
function begin(local: LocalState, hub: HubState): Resumption {
  const number = hub === undefined ? 0 : hub.epoch + 1;
  const from = Math.max(local.logStartOffset, local.deliveredTo ?? 0);
  const gap = local.logStartOffset > 0 && local.deliveredTo === undefined ? { from: 0, to: from - 1 } : undefined;
  return { ...newEpoch(number, from), gap };
}

function goOn(local: LocalState, epoch: NonNullable<LocalState["epoch"]>, next: Offset): Resumption {
  const { logStartOffset, deliveredTo = next } = local;
  if (deliveredTo > next && deliveredTo >= logStartOffset) return newEpoch(epoch.number + 1, deliveredTo);
  if (next < logStartOffset) {
    return { ...newEpoch(epoch.number + 1, logStartOffset), gap: { from: next, to: logStartOffset - 1 } };
  }
  return { nextOffset: next, epoch, isNewEpoch: false, gap: undefined };
}

function newEpoch(number: ProducerEpoch, firstOffset: Offset): Resumption {
  return { nextOffset: firstOffset, epoch: { number, firstOffset }, isNewEpoch: true, gap: undefined };
}

/** The offset after the one with this sequence: of all that have it, the last one that is not beyond the log. */
function offsetAfter(firstOffset: Offset, sequence: Sequence, logEndOffset: Offset): Offset {
  const lowest = firstOffset + sequence + 1;
  const turns = Math.max(0, Math.floor((logEndOffset - lowest) / SEQUENCE_COUNT));
  return lowest + turns * SEQUENCE_COUNT;
}
