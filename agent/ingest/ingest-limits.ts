/** How much the ingest may hold in memory, and what it tells of itself. */

export type IngestLimits = {
  /** Gathered or on their way to the disk. */
  readonly uncommittedBytesMax: number;
  readonly uncommittedMessagesMax: number;
  /** Held back: by a full log, for `block` topics, or until their topic is made. */
  readonly waitingBytesMax: number;
  readonly waitingMessagesMax: number;
  /** Key, payload and headers of one record. */
  readonly recordBytesMax: number;
};

export const defaultIngestLimits: IngestLimits = {
  uncommittedBytesMax: 16 * 1024 * 1024,
  uncommittedMessagesMax: 100_000,
  waitingBytesMax: 4 * 1024 * 1024,
  waitingMessagesMax: 10_000,
  recordBytesMax: 1024 * 1024,
};

/** What is on its way counts against the log's cap; a small log must not be filled by it alone. */
export const UNCOMMITTED_SHARE_OF_CAP = 1 / 16;
/** However small the cap becomes: what a publisher sends at once. */
export const UNCOMMITTED_BYTES_MIN = 32 * 1024;

export type IngestStats = {
  readonly receivedMessages: number;
  readonly committedRecords: number;
  readonly committedBytes: number;
  /** Messages sent again that were stored before. */
  readonly duplicateMessages: number;
  /** Answered with an error, nothing stored. */
  readonly refusedMessages: number;
  readonly uncommittedBytes: number;
  readonly uncommittedMessages: number;
  readonly waitingBytes: number;
  readonly waitingMessages: number;
  /** The log is at its cap and turns messages away or holds them back. */
  readonly isWithoutRoom: boolean;
  readonly routedTopics: number;
};
