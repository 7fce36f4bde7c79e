import type { Offset, Partition, ProducerEpoch, ProducerId, Timestamp } from "../../shared/ids.ts";
import type { LossReason } from "../../shared/uplink/frames.ts";

/** Records that an agent had accepted and that will never arrive. */
export type DeclaredLoss = {
  readonly agent: string;
  readonly producerId: ProducerId;
  readonly topic: string;
  readonly partition: Partition;
  /** The producer epoch that began behind the gap. */
  readonly epoch: ProducerEpoch;
  /** First and last (inclusive) offset in the agent's own log. */
  readonly from: Offset;
  readonly to: Offset;
  readonly reason: LossReason;
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
}
