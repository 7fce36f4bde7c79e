/**
 * How the bytes that the log may take on the disk (`log.bytesMax`) are divided. Pure.
 *
 *   bytesMax = database [ what is kept | one commit | upkeep ] + write-ahead log [ until a checkpoint | one commit ] + reserve
 *
 * The reserve is what freeing needs on a full disk (shared/log/disk-reserve.ts); a checkpoint is due when the WAL has
 * grown as large. Whether there is room is asked when a commit leaves, so one commit may always go beyond what is kept.
 */
import { upkeepBytesOf } from "../../shared/log/page-room.ts";
import { PAGE_BYTES } from "../../shared/log/schema.ts";
import { UNCOMMITTED_SHARE_OF_CAP } from "../ingest/ingest-limits.ts";

export type DiskBudget = {
  /** Of the file; SQLite stores nothing beyond it. */
  readonly databaseBytesMax: number;
  /** Of it, what the ingest fills. */
  readonly keptBytesMax: number;
  readonly reserveBytes: number;
};

const RESERVE_BYTES_MIN = 64 * 1024;
const RESERVE_BYTES_MAX = 4 * 1024 * 1024;
const RESERVE_SHARE = 1 / 16;
/** The largest commit: what is gathered while one is on its way, QoS 1 and 2 up to twice that. */
const COMMIT_SHARE = 2 * UNCOMMITTED_SHARE_OF_CAP;
const COMMIT_BYTES_MAX = 32 * 1024 * 1024;

export function divideDisk(bytesMax: number): DiskBudget {
  const share = Math.round(bytesMax * RESERVE_SHARE);
  const reserveBytes = Math.min(RESERVE_BYTES_MAX, Math.max(RESERVE_BYTES_MIN, share));
  const commitBytes = Math.min(COMMIT_BYTES_MAX, Math.round(bytesMax * COMMIT_SHARE));
  const databaseBytesMax = bytesMax - 2 * reserveBytes - commitBytes;
  const keptBytesMax = databaseBytesMax - commitBytes - upkeepBytesOf(databaseBytesMax, PAGE_BYTES);
  return { reserveBytes, databaseBytesMax, keptBytesMax };
}
