/**
 * The books of a partition (G3): accepted = delivered + pending + dropped. Pure.
 *
 *   offset   0 ………… settled ………… log start ………………… log end
 *            delivered,    not known to       pending
 *            less what     be delivered,
 *            was declared  and gone
 *
 * Accepted is every offset that was ever given out, and every message that was taken and dropped before it had one.
 */
import type { Offset } from "../../shared/ids.ts";

export type LossTotals = {
  /** Declared lost from the log. */
  readonly stored: number;
  /** Taken and dropped without being stored. */
  readonly unstored: number;
};

export type Balance = {
  readonly accepted: number;
  readonly delivered: number;
  readonly pending: number;
  readonly dropped: number;
};

export type PartitionPlace = { readonly logStartOffset: Offset; readonly logEndOffset: Offset };

/** `settled`: everything before it is delivered or declared lost. */
export function balanceOf(place: PartitionPlace, settled: Offset, { stored, unstored }: LossTotals): Balance {
  const { logStartOffset, logEndOffset } = place;
  return {
    accepted: logEndOffset + unstored,
    delivered: settled - stored,
    pending: Math.max(0, logEndOffset - Math.max(settled, logStartOffset)),
    dropped: stored + unstored + undeclared(place, settled),
  };
}

/** Records that made room before it was known whether the hub had them; they count as dropped until it says it has. */
export function undeclared({ logStartOffset }: PartitionPlace, settled: Offset): number {
  return Math.max(0, logStartOffset - settled);
}

export function addBalances(balances: Iterable<Balance>): Balance {
  const sum = { accepted: 0, delivered: 0, pending: 0, dropped: 0 };
  for (const { accepted, delivered, pending, dropped } of balances) {
    sum.accepted += accepted;
    sum.delivered += delivered;
    sum.pending += pending;
    sum.dropped += dropped;
  }
  return sum;
}
