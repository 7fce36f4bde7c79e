/**
 * One partition on its way to the hub during one connection: where it stands, what is in flight, and what comes next.
 * Pure bookkeeping; session.ts reads, sends and hears.
 *
 *   open ──nack──▶ draining ──last answer──▶ open (sent again after a wait) | skipping a poison batch | ended
 *    ▲                                          │
 *    └──────────────────────────────────────────┘
 */
import type { Offset, ProducerEpoch } from "../../shared/ids.ts";
import { invariant } from "../../shared/invariant.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { Acks } from "../../shared/record.ts";
import { UPLINK_IN_FLIGHT_PER_PARTITION_MAX } from "../../shared/link/frames.ts";

export type Sent = {
  readonly id: number;
  readonly baseOffset: Offset;
  /** The offset after its last record. */
  readonly endOffset: Offset;
  readonly bytes: number;
};

export type Refusal = { readonly code: string; readonly message: string; readonly retriable: boolean };

/** A batch that was refused, with the answers to those behind it still to come. */
type Failure = { readonly refusal: Refusal; readonly batch: Sent };

export class Lane {
  readonly partition: LogPartition;
  readonly acks: Acks;
  epoch: ProducerEpoch;
  firstOffset: Offset;
  /** The next offset to read and send. */
  nextOffset: Offset;
  isReading = false;
  /** Not before this moment (monotonic), after a refusal. */
  waitUntilMs = 0;
  attempt = 0;
  readonly #inFlight: Sent[] = [];
  #failure: Failure | undefined;

  constructor(
    partition: LogPartition,
    acks: Acks,
    start: { readonly nextOffset: Offset; readonly epoch: ProducerEpoch; readonly firstOffset: Offset },
  ) {
    this.partition = partition;
    this.acks = acks;
    this.nextOffset = start.nextOffset;
    this.epoch = start.epoch;
    this.firstOffset = start.firstOffset;
  }

  get inFlightCount(): number {
    return this.#inFlight.length;
  }

  /** The first offset the hub has not answered for. */
  get unansweredFrom(): Offset {
    return this.#inFlight[0]?.baseOffset ?? this.nextOffset;
  }

  /** Whether there is something to read and a place in flight for it. */
  isReady(nowMs: number): boolean {
    return (
      !this.isReading &&
      this.#failure === undefined &&
      nowMs >= this.waitUntilMs &&
      this.#inFlight.length < UPLINK_IN_FLIGHT_PER_PARTITION_MAX &&
      this.nextOffset < this.partition.logEndOffset
    );
  }

  sent(batch: Sent): void {
    this.nextOffset = batch.endOffset;
    this.#inFlight.push(batch);
  }

  /** Answers come in the order of the batches. Returns the batch; undefined for one behind a refused one. */
  acknowledged(id: number): Sent | undefined {
    const batch = this.#takeFirst(id);
    // The hub took a batch behind one it refused: impossible within an epoch, so nothing may be counted on it.
    if (this.#failure !== undefined) return undefined;
    this.attempt = 0;
    return batch;
  }

  refused(id: number, refusal: Refusal): Sent {
    const batch = this.#takeFirst(id);
    // What comes behind the first refusal is refused because of it.
    this.#failure ??= { refusal, batch };
    return batch;
  }

  /** The refusal to deal with, once every batch in flight is answered. The lane then goes back to where it failed. */
  takeFailure(): Failure | undefined {
    if (this.#failure === undefined || this.#inFlight.length > 0 || this.isReading) return undefined;
    const failure = this.#failure;
    this.#failure = undefined;
    this.nextOffset = failure.batch.baseOffset;
    return failure;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  beginEpoch(epoch: ProducerEpoch, firstOffset: Offset): void {
    this.epoch = epoch;
    this.firstOffset = firstOffset;
    this.nextOffset = firstOffset;
  }

  #takeFirst(id: number): Sent {
    const batch = this.#inFlight.shift();
    invariant(batch?.id === id, `answer ${id} is out of order in ${this.partition.topic}-${this.partition.partition}`);
    return batch;
  }
}
