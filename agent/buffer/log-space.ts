/** How full the log is: what the ingest asks before it takes more, and what the status shows. */
import type { PartitionedLog } from "../../shared/log/partitioned-log.ts";

export interface LogSpace {
  /** Bytes in use, and how many may be. The cap falls when others fill the disk. */
  readonly usedBytes: number;
  readonly capBytes: number;
  /** The cap while nobody else fills the disk. */
  readonly capBytesMax: number;
}

export function storedBytes(log: Pick<PartitionedLog, "topics">): number {
  let bytes = 0;
  for (const { partitions } of log.topics.values()) for (const partition of partitions) bytes += partition.bytes;
  return bytes;
}
