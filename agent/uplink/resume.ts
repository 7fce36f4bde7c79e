/**
 * Where a partition goes on after the hub has said where it stands. Pure.
 *
 * An epoch is a run of offsets without a hole; sequence = offset - first offset of the epoch (mod 2^31). One rule above
 * all: an (epoch, sequence) is never used for two different records, and no record is left out without a gap.
 *
 *   hub says                      we find                                     then
 *   nothing                       no epoch yet                                first epoch, at the first record not settled
 *   nothing, or an older epoch    it has all that came before our epoch       our epoch, from its first record
 *                                 it lacks some of that: it was rewound       new epoch, where the hub ends
 *   our epoch                     its end lies within what we have sent       our epoch, where the hub ends
 *                                 its end lies beyond: our log lost its tail  new epoch, at what we can vouch for
 *   a newer epoch                 our data was restored, or runs twice        new epoch above it, at what is not settled
 *
 *   wherever that is before our log start: gap, and a new epoch at the log start
 *
 * "Beyond what we have sent": after a start of the program that is the log's end as it was found then (the *fence*,
 * which stays until a hub has been heard), because a record written since then may stand where a lost one stood.
 */
import type { Offset, ProducerEpoch, Sequence } from "../../shared/ids.ts";
import { invariant } from "../../shared/invariant.ts";
import type { LossReason } from "../../shared/uplink/frames.ts";

const SEQUENCE_COUNT = 2 ** 31;

/** An epoch as it began. */
export type EpochStart = {
  readonly epoch: ProducerEpoch;
  readonly firstOffset: Offset;
  /** What the hub had when the epoch began: everything before this offset, but for declared gaps. */
  readonly previousEnd: Offset;
};

/** What the agent remembers of a partition, beside its log. */
export type PartitionMemory = {
  /** Everything before it is delivered or declared lost. May lag behind on disk, never ahead. */
  readonly settled: Offset;
  /** Lowest log end that a start of the program found since a hub was last heard; undefined once it was. */
  readonly fence: Offset | undefined;
  /** End of what may have been sent since the hub was heard; means nothing while there is a fence. */
  readonly sentEnd: Offset;
  /** Oldest first. The first one of all is kept, and the newest ones. */
  readonly epochs: readonly EpochStart[];
};

export type HubPosition = { readonly epoch: ProducerEpoch; readonly lastSequence: Sequence };

/** Inclusive ends, as in the frame. */
export type LostRange = { readonly from: Offset; readonly to: Offset; readonly reason: LossReason };

export type ResumeCause = "first" | "continued" | "rewound" | "overflow" | "tail-lost" | "foreign-epoch";

export type ResumePlan = {
  readonly cause: ResumeCause;
  /** May be above PRODUCER_EPOCH_MAX: then the installation needs a new producer id. */
  readonly epoch: ProducerEpoch;
  readonly firstOffset: Offset;
  /** The next record to send. */
  readonly next: Offset;
  /** Set when the epoch begins here. */
  readonly newEpoch: EpochStart | undefined;
  readonly gaps: readonly LostRange[];
};

export function planResume(
  memory: PartitionMemory,
  logStartOffset: Offset,
  position: HubPosition | undefined,
): ResumePlan {
  const begin = (cause: ResumeCause, epoch: ProducerEpoch, from: Offset): ResumePlan =>
    beginEpoch(cause, { epoch, from, logStartOffset, settled: memory.settled });
  const current = memory.epochs.at(-1);
  if (current === undefined) {
    return position === undefined
      ? begin("first", 0, memory.settled)
      : begin("foreign-epoch", position.epoch + 1, memory.settled);
  }
  if (position !== undefined && position.epoch > current.epoch) {
    return begin("foreign-epoch", position.epoch + 1, memory.settled);
  }
  const hubEnd = hubEndOf(memory, position);
  const isCurrent = position?.epoch === current.epoch;
  const vouchedEnd = memory.fence ?? memory.sentEnd;
  if (isCurrent ? hubEnd > vouchedEnd : current.firstOffset > vouchedEnd) {
    // Verified by an earlier welcome, what is settled is exact; after a start it may lag, and the fence is the better.
    return begin("tail-lost", current.epoch + 1, Math.min(hubEnd, memory.fence ?? memory.settled));
  }
  if (!isCurrent && hubEnd < current.previousEnd) return begin("rewound", current.epoch + 1, hubEnd);
  const next = isCurrent ? hubEnd : current.firstOffset;
  if (next < logStartOffset) {
    return begin(next < memory.settled ? "rewound" : "overflow", current.epoch + 1, next);
  }
  const { epoch, firstOffset } = current;
  return { cause: "continued", epoch, firstOffset, next, newEpoch: undefined, gaps: [] };
}

/** Records between `from` and the log start are lost; the epoch begins behind them. */
function beginEpoch(
  cause: ResumeCause,
  at: { epoch: ProducerEpoch; from: Offset; logStartOffset: Offset; settled: Offset },
): ResumePlan {
  const { epoch, from } = at;
  const firstOffset = Math.max(from, at.logStartOffset);
  const newEpoch = { epoch, firstOffset, previousEnd: from };
  return { cause, epoch, firstOffset, next: firstOffset, newEpoch, gaps: lostRanges(from, firstOffset, at.settled) };
}

/** What was settled had arrived, so it is the hub that lost it; what was not, made room for newer records. */
function lostRanges(from: Offset, end: Offset, settled: Offset): LostRange[] {
  const split = Math.min(Math.max(from, settled), end);
  const ranges: LostRange[] = [];
  if (from < split) ranges.push({ from, to: split - 1, reason: "rewound" });
  if (split < end) ranges.push({ from: split, to: end - 1, reason: "overflow" });
  return ranges;
}

/** The offset behind the last record that the hub has of us. */
function hubEndOf({ epochs, settled }: PartitionMemory, position: HubPosition | undefined): Offset {
  const oldest = epochs[0];
  invariant(oldest !== undefined, "no epoch was begun");
  const index = position === undefined ? 0 : epochs.findLastIndex(({ epoch }) => epoch <= position.epoch);
  const known = epochs[index];
  if (known === undefined) return passEmpty(oldest.firstOffset, epochs.slice(1));
  const later = epochs.slice(index + 1);
  // An epoch between that is not remembered: what the hub has reaches at least to where the one before it began.
  if (known.epoch !== position?.epoch) return passEmpty(known.firstOffset, later);
  const next = later[0];
  const expected = Math.min(settled, next?.firstOffset ?? Infinity) - known.firstOffset;
  const end = known.firstOffset + recordsUpTo(position.lastSequence, expected);
  // Where our log had lost its tail, the next epoch began before that end: those offsets have been given out again since.
  return passEmpty(next === undefined ? end : Math.min(end, next.previousEnd), later);
}

/**
 * Epochs that began and brought nothing, because there was only a gap before the next: what the hub has reaches over them,
 * where it has all that came before them.
 */
function passEmpty(hubEnd: Offset, later: readonly EpochStart[]): Offset {
  let end = hubEnd;
  for (const { firstOffset, previousEnd } of later.slice(0, -1))
    if (end >= previousEnd) end = Math.max(end, firstOffset);
  return end;
}

/** Sequences wrap: of the counts that end with `lastSequence`, the one that lies closest to what we expect. */
function recordsUpTo(lastSequence: Sequence, expected: number): number {
  const count = lastSequence + 1;
  const wraps = Math.round((expected - count) / SEQUENCE_COUNT);
  return count + Math.max(0, wraps) * SEQUENCE_COUNT;
}

/** How many epochs are remembered: the first one, and the newest. */
export const EPOCHS_REMEMBERED_MAX = 16;

/** The first epoch tells where this producer began; the newest are those a hub may still stand at. */
export function rememberEpoch(epochs: readonly EpochStart[], begun: EpochStart): EpochStart[] {
  const all = [...epochs, begun];
  return all.length <= EPOCHS_REMEMBERED_MAX ? all : [...all.slice(0, 1), ...all.slice(2)];
}
