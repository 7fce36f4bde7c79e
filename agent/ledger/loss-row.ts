/**
 * A row of the agent's loss ledger: records that were accepted and will never arrive.
 *
 *   from ≤ to       they were stored; a range of offsets of this log
 *   to = from - 1   they were never stored (turned away at the cap, under overload); they would have come before `from`
 *
 *   provisional ──the hub says where it stands──▶ open ──the hub has it in its own ledger──▶ confirmed
 *
 * A provisional row is what made room while nobody knew whether the hub had it: the log's start is past what the hub has
 * confirmed. It counts for nothing, because the offsets themselves say how much is missing (balance.ts).
 */
import type { Offset, Partition, ProducerEpoch, Timestamp } from "../../shared/ids.ts";
import type { LossReason } from "../../shared/uplink/frames.ts";

export const lossStates = ["provisional", "open", "confirmed"] as const;
export type LossState = (typeof lossStates)[number];

export type LossRow = {
  readonly id: number;
  readonly topic: string;
  readonly partition: Partition;
  /** The producer epoch that began behind the range; 0 for records that were never stored. */
  readonly epoch: ProducerEpoch;
  readonly from: Offset;
  readonly to: Offset;
  readonly records: number;
  readonly reason: LossReason;
  /** When the first and the last of them were lost, by the agent's wall clock. */
  readonly since: Timestamp;
  readonly until: Timestamp;
  readonly state: LossState;
};

/** Whether the records had offsets. */
export function wereStored({ from, to }: Pick<LossRow, "from" | "to">): boolean {
  return from <= to;
}

/**
 * What tells rows apart that begin at the same offset, for the hub: ranges do not share one, and drops that were never
 * stored began at different times.
 */
export function entryOf(row: Pick<LossRow, "from" | "to" | "since">): number {
  return wereStored(row) ? 0 : row.since;
}
