/** Of the log on the disk, and of the record batches that are to go there. */
import type { ErrorRow } from "./error-row.ts";

export const logErrors = {
  // The log
  LOG_LOCKED: {
    retriable: true,
    wire: 56,
    meaning: "Another process has the data directory open.",
    hint: "Only one agent or hub may use a data directory. Stop the other one or give this one its own --data.",
  },
  LOG_FULL: {
    retriable: true,
    wire: 56,
    meaning: "The log cannot take more data: its byte cap or the disk is full.",
    hint: "Free disk space, raise the cap, or shorten retention.",
  },
  LOG_IO: {
    retriable: false,
    wire: 56,
    meaning: "The disk failed a read, a write or a flush; nothing that was not flushed is acknowledged.",
    hint: "Look at the kernel log. The program stops, so that the supervisor restarts it and it verifies its log.",
  },
  LOG_DIRECTORY: {
    retriable: false,
    wire: 56,
    meaning: "The data directory cannot be made.",
    hint: "Give --data a directory that this user may write, or make it first; what is in the way is in the message.",
  },
  LOG_NOT_ALLOWED: {
    retriable: false,
    wire: 56,
    meaning: "The user that the program runs as may not write its data directory.",
    hint: "Give the directory and what is in it to that user (chown -R), or choose another one with --data.",
  },
  LOG_READ_ONLY: {
    retriable: true,
    wire: 56,
    meaning: "The disk under the log takes no writes: what is stored can be read, and nothing is changed or added.",
    hint: "Replace the disk, or mount it for writing; the program notices by itself, and ends so that its supervisor starts it.",
  },
  LOG_CORRUPT: {
    retriable: false,
    wire: 56,
    meaning: "The structure of the log's database is damaged.",
    hint: "The program stops, so that the supervisor restarts it and it carries over what can be read. Look at the disk.",
  },
  LOG_NOT_DURABLE: {
    retriable: false,
    wire: 56,
    meaning:
      "SQLite did not accept PRAGMA synchronous=FULL, without which an acknowledgement would be an empty promise.",
    hint: "Report this with the platform and the version of better-sqlite3; there is no safe setting to work around it.",
  },
  LOG_VERSION: {
    retriable: false,
    wire: 56,
    meaning: "The data directory was written by a newer version.",
    hint: "Start the version that wrote it, or a newer one.",
  },
  CLOSING: {
    retriable: true,
    wire: 15,
    meaning: "The program is stopping.",
    hint: "Try again after the restart.",
  },
  // Batches and records
  CORRUPT_RECORD: {
    retriable: true,
    wire: 2,
    meaning: "A record batch fails its CRC or its lengths do not add up.",
    hint: "The sender must send it again; if it happens often, suspect memory, disk or a proxy on the path.",
  },
  INVALID_RECORD: {
    retriable: false,
    wire: 87,
    meaning: "A record batch breaks a rule of the format.",
    hint: "One batch a partition and request, format v2, no control batches, as many records as the header says.",
  },
  INVALID_TIMESTAMP: {
    retriable: false,
    wire: 32,
    meaning: "A record's timestamp is out of the range the topic accepts.",
    hint: "Correct the producer's clock.",
  },
  MESSAGE_TOO_LARGE: {
    retriable: false,
    wire: 10,
    meaning: "A message or batch is larger than the limit.",
    hint: "Send less at once, or raise the limit that the message names.",
  },
  UNSUPPORTED_COMPRESSION_TYPE: {
    retriable: false,
    wire: 76,
    meaning: "The batch names a compression codec that does not exist or cannot be used here.",
    hint: "Use none, gzip, snappy, lz4 or zstd.",
  },
  OUT_OF_ORDER_SEQUENCE_NUMBER: {
    retriable: false,
    wire: 45,
    meaning: "A producer's sequence does not continue what the partition holds.",
    hint: "An agent mends this by itself with its next connection; a Kafka producer starts a new epoch.",
  },
  INVALID_PRODUCER_EPOCH: {
    retriable: false,
    wire: 47,
    meaning: "A producer of an older epoch tried to write.",
    hint: "A newer instance of the same producer has taken over; stop the old one.",
  },
} as const satisfies Record<string, ErrorRow>;
