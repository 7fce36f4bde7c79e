/**
 * Keeps the log under its byte cap: asks overflow.ts what to do, and has the log trim what must go and note that it is lost.
 *
 * One round of trimming at a time. Sizes fall only when the log has swept the trimmed batches, shortly after the trim
 * itself; so the next round begins when they have fallen, or TRIM_VISIBLE_MS later, never before.
 */
import type { Clock } from "../../shared/clock.ts";
import type { StreamError } from "../../shared/errors.ts";
import { toStreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import type { LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { LogSpace } from "../buffer/log-space.ts";
import type { LossLedger } from "../ledger/loss-ledger.ts";
import { trimNoted } from "../ledger/trim-noted.ts";
import type { StoredPartition, Trim } from "./overflow.ts";
import { decideOverflow } from "./overflow.ts";
import type { TopicPolicy } from "./route.ts";

/** Trimming that has not shown in the sizes by then is taken to have freed nothing. */
const TRIM_VISIBLE_MS = 1000;
/** The share of what a round set out to free that must be seen before the next. */
const TRIM_VISIBLE_SHARE = 0.5;
/** A log that has refused a commit is taken to be full until something is freed, or for so long: then one commit tries. */
const REFUSAL_BELIEVED_MS = 10_000;

export type RoomLog = Pick<PartitionedLog, "topics" | "trim">;

export type LogRoomOptions = {
  readonly log: RoomLog;
  readonly clock: Clock;
  readonly space: LogSpace;
  readonly ledger: Pick<LossLedger, "planTrim">;
  readonly policyOf: (topic: string) => TopicPolicy;
  /** The first record that the hub has not confirmed: what was delivered before is no loss. */
  readonly pendingFrom: (partition: LogPartition) => Offset;
  readonly onTrimFailed: (error: StreamError) => void;
};

/** Partitions as they were when their trimming was ordered. */
type TrimRound = {
  readonly trims: readonly {
    readonly partition: LogPartition;
    readonly freedBytes: number;
    readonly before: LogPartition;
  }[];
  readonly deadlineMs: number;
};

export class LogRoom {
  readonly #options: LogRoomOptions;
  #admittedPriorityMin = -Infinity;
  #round: TrimRound | undefined;
  #trimsOnTheirWay = 0;
  #refusal: { readonly usedBytes: number; readonly untilMs: number } | undefined;

  constructor(options: LogRoomOptions) {
    this.#options = options;
  }

  /** Messages of a lower priority are turned away. -Infinity while there is room. */
  get admittedPriorityMin(): number {
    return this.#admittedPriorityMin;
  }

  /** The log has refused a commit for want of room, whatever its size says. */
  sawFull(): void {
    const { space, clock } = this.#options;
    this.#refusal = { usedBytes: space.usedBytes, untilMs: clock.monotonicMs() + REFUSAL_BELIEVED_MS };
  }

  /** The log has taken a commit. */
  sawStored(): void {
    this.#refusal = undefined;
  }

  /** Looks again. `incoming`: what is about to be stored; its bytes count as used. */
  consider(incoming: { readonly bytes: number; readonly priority: number }): void {
    const { space } = this.#options;
    const { trims, admittedPriorityMin } = decideOverflow<LogPartition>({
      capBytes: space.capBytes,
      usedBytes: Math.max(space.usedBytes + incoming.bytes, this.#isRefusing() ? space.capBytes : 0),
      incomingPriority: incoming.priority,
      partitions: this.#stored(),
    });
    this.#admittedPriorityMin = admittedPriorityMin;
    if (trims.length === 0 || this.#isTrimming()) return;
    this.#round = {
      trims: trims.map(({ partition, bytes }) => ({ partition, freedBytes: bytes, before: { ...partition } })),
      deadlineMs: this.#options.clock.monotonicMs() + TRIM_VISIBLE_MS,
    };
    for (const trim of trims) this.#trim(trim);
  }

  #isRefusing(): boolean {
    const { space, clock } = this.#options;
    const refusal = this.#refusal;
    return refusal !== undefined && space.usedBytes >= refusal.usedBytes && clock.monotonicMs() < refusal.untilMs;
  }

  #isTrimming(): boolean {
    if (this.#trimsOnTheirWay > 0) return true;
    const round = this.#round;
    if (round === undefined || this.#options.clock.monotonicMs() >= round.deadlineMs) return false;
    return !isVisible(round);
  }

  #stored(): StoredPartition<LogPartition>[] {
    const stored: StoredPartition<LogPartition>[] = [];
    for (const topic of this.#options.log.topics.values()) {
      const { overflow: policy, priority } = this.#options.policyOf(topic.name);
      for (const partition of topic.partitions) {
        const { bytes, logStartOffset, logEndOffset } = partition;
        stored.push({ partition, bytes, logStartOffset, logEndOffset, policy, priority });
      }
    }
    return stored;
  }

  #trim({ partition, before }: Trim<LogPartition>): void {
    const { log, ledger, pendingFrom, onTrimFailed } = this.#options;
    const from = Math.max(partition.logStartOffset, pendingFrom(partition));
    this.#trimsOnTheirWay++;
    void trimNoted(log, ledger, partition, { from, end: before, reason: "overflow" }).then(
      () => void this.#trimsOnTheirWay--,
      (error: unknown) => {
        this.#trimsOnTheirWay--;
        onTrimFailed(toStreamError(error));
      },
    );
  }
}

/** Whether the sizes have fallen, allowing for what was appended meanwhile. */
function isVisible({ trims }: TrimRound): boolean {
  let expectedBytes = 0;
  let fallenBytes = 0;
  for (const { partition, freedBytes, before } of trims) {
    const bytesPerRecord = before.bytes / (before.logEndOffset - before.logStartOffset);
    const appendedBytes = (partition.logEndOffset - before.logEndOffset) * bytesPerRecord;
    expectedBytes += freedBytes;
    fallenBytes += before.bytes + appendedBytes - partition.bytes;
  }
  return fallenBytes >= expectedBytes * TRIM_VISIBLE_SHARE;
}
