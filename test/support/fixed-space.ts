import type { LogSpace } from "../../agent/buffer/log-space.ts";
import { storedBytes } from "../../agent/buffer/log-space.ts";
import type { PartitionedLog } from "../../shared/log/partitioned-log.ts";

/** A log's space where only the batches in it count, against a cap that stays. */
export function fixedSpace(log: Pick<PartitionedLog, "topics">, capBytes: number, capBytesMax = capBytes): LogSpace {
  return {
    capBytes,
    capBytesMax,
    get usedBytes() {
      return storedBytes(log);
    },
  };
}
