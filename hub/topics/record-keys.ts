/**
 * A compacted topic takes only records with a key: nothing would ever say that another record replaces one without.
 * The header does not tell, so the batch is unpacked, within limits. Pure.
 */
import { codecOf } from "../../shared/batch/record-batch.ts";
import type { BatchHeader } from "../../shared/batch/record-batch.ts";
import { RecordScanner } from "../../shared/batch/record-scan.ts";
import { recordsSection } from "../../shared/batch/records.ts";
import { StreamError } from "../../shared/errors.ts";

const MIB = 1024 * 1024;
/** What the records of one compressed batch may become. */
export const UNPACKED_BYTES_MAX = 8 * MIB;
/** And how many times its size, so that little does not become much … */
export const UNPACKED_RATIO_MAX = 200;
/** … where it is much: records that repeat one another compress better than that in honest batches too. */
export const UNPACKED_BYTES_ALWAYS_ALLOWED = MIB;
/** Records that an answer lists; the batch is refused as a whole. */
export const RECORD_ERRORS_MAX = 100;

/** Which record of a batch is to blame for its refusal: Produce 8 and later tell the client (KIP-467). */
export type RecordError = { readonly batchIndex: number; readonly batchIndexErrorMessage: string };

const WITHOUT_KEY = "a compacted topic takes only records with a key";

/**
 * @throws StreamError INVALID_RECORD, with `recordErrors` in its details for records without a key; MESSAGE_TOO_LARGE
 * beyond the limits, on which clients split a batch and try again.
 */
export function checkKeys(batch: Buffer, header: BatchHeader): void {
  const { count, recordErrors } = recordsWithoutKey(batch, header);
  if (count === 0) return;
  const message = `${count} records without a key for a compacted topic`;
  throw new StreamError("INVALID_RECORD", message, { details: { recordErrors } });
}

/** What a refusal says of single records. */
export function recordErrorsOf({ details }: StreamError): readonly RecordError[] {
  return (details["recordErrors"] as readonly RecordError[] | undefined) ?? [];
}

function recordsWithoutKey(batch: Buffer, header: BatchHeader): { count: number; recordErrors: RecordError[] } {
  const recordErrors: RecordError[] = [];
  let count = 0;
  try {
    const scanner = new RecordScanner(recordsSection(batch, header, unpackedBytesMax(header)), header);
    for (let batchIndex = 0; scanner.next(); batchIndex++) {
      if (scanner.hasKey) continue;
      count++;
      if (count <= RECORD_ERRORS_MAX) recordErrors.push({ batchIndex, batchIndexErrorMessage: WITHOUT_KEY });
    }
    return { count, recordErrors };
  } catch (error) {
    // Kafka's code for damage makes clients send the batch again; but its CRC is right, so it would never be better.
    if (!(error instanceof StreamError) || error.code !== "CORRUPT_RECORD") throw error;
    throw new StreamError("INVALID_RECORD", `the records cannot be read: ${error.message}`, { cause: error });
  }
}

/** Plain records are there already: their size was checked as that of the batch. */
function unpackedBytesMax(header: BatchHeader): number {
  if (codecOf(header) === "none") return header.bytes;
  return Math.max(UNPACKED_BYTES_ALWAYS_ALLOWED, Math.min(UNPACKED_BYTES_MAX, header.bytes * UNPACKED_RATIO_MAX));
}
