import type { Offset, Partition, ProducerEpoch, ProducerId, Timestamp } from "../../shared/ids.ts";
import type { LossReason } from "../../shared/link/frames.ts";

/** Records that an agent had accepted and that will never arrive. */
export type Loss = {
  readonly agent: string;
  readonly producer: ProducerId;
  readonly topic: string;
  readonly partition: Partition;
  /** The epoch that begins after the gap. */
  readonly epoch: ProducerEpoch;
  /** First and last offset in the agent's own log. */
  readonly from: Offset;
  readonly to: Offset;
  readonly reason: LossReason;
  readonly at: Timestamp;
};

/** What agents have declared lost: nothing in it is ever forgotten or counted twice. */
export interface LossLedger {
  /** Durable on return. The same gap declared again changes nothing. */
  record(loss: Loss): Promise<void>;
  list(): Promise<readonly Loss[]>;
}
