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
import { settledCount } from "../uplink/windows.ts";
import type { WindowPlace } from "../uplink/windows.ts";
import type { LossRow } from "./loss-row.ts";

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

/** `places`: of the partition's lanes, oldest first. In each everything before `settled` is delivered or declared lost. */
export function balanceOf(
  place: PartitionPlace,
  places: readonly WindowPlace[],
  { stored, unstored }: LossTotals,
): Balance {
  const { logEndOffset } = place;
  return {
    accepted: logEndOffset + unstored,
    delivered: settledCount(places) - stored,
    pending: totalOf(places.map((each) => pendingIn(place, each))),
    dropped: stored + unstored + totalOf(places.map((each) => undeclared(place, each))),
  };
}

/** Of it, what waits behind newer records: everything but the last lane's. */
export function historyPending(place: PartitionPlace, places: readonly WindowPlace[]): number {
  return totalOf(places.slice(0, -1).map((each) => pendingIn(place, each)));
}

function pendingIn({ logStartOffset, logEndOffset }: PartitionPlace, { settled, end }: WindowPlace): number {
  return Math.max(0, Math.min(logEndOffset, end) - Math.max(settled, logStartOffset));
}

/** Records that made room before it was known whether the hub had them; they count as dropped until it says it has. */
function undeclared({ logStartOffset }: PartitionPlace, { settled, end }: WindowPlace): number {
  return Math.max(0, Math.min(logStartOffset, end) - settled);
}

/** Of a range that was trimmed: `from` and `to` are inclusive. What was sent meanwhile, or declared since, counts elsewhere. */
export function undeclaredIn(places: readonly WindowPlace[], { from, to }: Pick<LossRow, "from" | "to">): number {
  return totalOf(places.map(({ settled, end }) => Math.max(0, Math.min(to + 1, end) - Math.max(from, settled))));
}

function totalOf(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
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
