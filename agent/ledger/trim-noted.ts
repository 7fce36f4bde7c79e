/** Removes the head of a partition and notes why, in one commit: a crash leaves both or neither. */
import { toStreamError } from "../../shared/errors.ts";
import type { LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { LossLedger, TrimmedRange } from "./loss-ledger.ts";

/** What lies before `range.from` goes with it, and is no loss: the hub has it. */
export async function trimNoted(
  log: Pick<PartitionedLog, "trim">,
  ledger: Pick<LossLedger, "planTrim">,
  partition: LogPartition,
  range: TrimmedRange,
): Promise<void> {
  if (range.from >= range.end) return log.trim(partition, range.end);
  const { calls, apply, cancel } = ledger.planTrim(partition, range);
  try {
    await log.trim(partition, range.end, { calls, done: apply });
  } catch (error) {
    cancel();
    if (toStreamError(error).code !== "LOG_FULL") throw error;
    // How much is lost, the offsets say. A log without a page for the note must be emptied all the same.
    await log.trim(partition, range.end);
  }
}
