import type { Offset, Partition, ProducerEpoch, ProducerId, Timestamp } from "../../shared/ids.ts";
import type { LossReason } from "../../shared/uplink/frames.ts";

/** Records that an agent had accepted and that will never arrive. */
export type DeclaredLoss = {
  readonly agent: string;
  readonly producerId: ProducerId;
  readonly topic: string;
  readonly partition: Partition;
  /** The producer epoch that began behind the gap; 0 for records that were never stored. */
  readonly epoch: ProducerEpoch;
  /** First and last (inclusive) offset in the agent's own log; `to` = `from` - 1 for records that were never stored. */
  readonly from: Offset;
  readonly to: Offset;
  /** Tells losses apart that are alike in all that is above. */
  readonly entry: number;
  readonly records: number;
  readonly reason: LossReason;
  /** When the first and the last of them were lost, by the agent's wall clock. */
  readonly since: Timestamp;
  readonly until: Timestamp;
  /** By the hub's wall clock. */
  readonly declaredAt: Timestamp;
};

/** Where the hub keeps what agents have declared lost: nothing in it is ever forgotten (G3, no silent loss). */
export interface LossLedger {
  /**
   * Durable on return. The same gap declared again, as an agent does that has not heard the answer, is one entry.
   * @throws StreamError LOG_FULL, LOG_IO, CLOSING.
   */
  record(loss: DeclaredLoss): Promise<void>;
  /** The newest entries, newest first, at most `entriesMax`. */
  list(entriesMax: number): Promise<readonly DeclaredLoss[]>;
  /** Of all time; of one agent, or of all. */
  totals(producerId?: ProducerId): Promise<readonly LossTotal[]>;
}

/** All that one agent has declared lost of a partition, for one reason. */
export type LossTotal = Pick<DeclaredLoss, "producerId" | "topic" | "partition" | "reason" | "records">;
