/**
 * How a partition of the agent's log is divided among its lanes, so that new records need not wait behind history
 * (docs/adr/0015). A window is a range of offsets; each has a lane of its own, and each lane a producer of its own at the
 * hub. Pure.
 *
 *   offset      0 ────────── 1000 ──────── 2500 ─────────▶
 *   window      number 0     number 1      number 2, the last: live
 *   slot        0            1             2                slot = number mod WINDOWS_OPEN_MAX
 *
 * A window begins where the log ended when the hub was back. A slot is used again only when the hub has all of its last
 * window. A partition whose route is `in-order` has window 0 alone, for ever.
 */
import type { Offset } from "../../shared/ids.ts";
import { UPLINK_SIDE_PRODUCERS_MAX } from "../../shared/uplink/frames.ts";
import type { LaneSource } from "./lane.ts";
import type { LostRange } from "./resume.ts";

/** Windows of a partition that are not wholly at the hub, the live one among them. Beyond it none begins. */
export const WINDOWS_OPEN_MAX = UPLINK_SIDE_PRODUCERS_MAX + 1;
/** Older ones matter only for a hub that is set back behind them: what it then lacks is told less exactly. */
export const WINDOWS_REMEMBERED_MAX = 64;
/** Above every partition's number. */
const LANE_ID_STEP = 2 ** 32;

export type WindowStart = { readonly number: number; readonly start: Offset };

/** `end` is exclusive, Infinity for the live one. */
export type LaneWindow = WindowStart & { readonly end: Offset };

export const wholePartition: LaneWindow = { number: 0, start: 0, end: Infinity };

/** The lane of window 0 has the partition's own number. */
export function laneIdOf(partitionId: number, { number }: Pick<WindowStart, "number">): number {
  return partitionId + (number % WINDOWS_OPEN_MAX) * LANE_ID_STEP;
}

export function partitionIdOf(laneId: number): number {
  return laneId % LANE_ID_STEP;
}

/** Which of the installation's producers sends for the lane. */
export function slotOf(laneId: number): number {
  return Math.floor(laneId / LANE_ID_STEP);
}

/** The windows that have a lane, oldest first. `starts`: oldest first, none for a partition that was never divided. */
export function attachedWindows(starts: readonly WindowStart[]): LaneWindow[] {
  if (starts.length === 0) return [wholePartition];
  const windows = starts.map((each, index) => ({ ...each, end: starts[index + 1]?.start ?? Infinity }));
  return windows.slice(-WINDOWS_OPEN_MAX);
}

/** With one more window from `start` on. */
export function divide(starts: readonly WindowStart[], start: Offset): WindowStart[] {
  const known = starts.length === 0 ? [wholePartition] : starts;
  const last = known.at(-1)?.number ?? 0;
  return [...known.map((each) => ({ number: each.number, start: each.start })), { number: last + 1, start }].slice(
    -WINDOWS_REMEMBERED_MAX,
  );
}

export function clamp(offset: Offset, { start, end }: Pick<LaneWindow, "start" | "end">): Offset {
  return Math.min(Math.max(offset, start), end);
}

/** `end` is exclusive. */
export type Span = { readonly start: Offset; readonly end: Offset };

/** All that a slot ever had to deliver. */
export function ownSpans(starts: readonly WindowStart[], slot: number): Span[] {
  if (starts.length === 0) return slot === 0 ? [{ start: 0, end: Infinity }] : [];
  return starts.flatMap(({ number, start }, index) => {
    if (number % WINDOWS_OPEN_MAX !== slot) return [];
    // What came before the oldest that is remembered may have been anybody's.
    return [{ start: index === 0 ? 0 : start, end: starts[index + 1]?.start ?? Infinity }];
  });
}

/** The parts of each range that lie within: what lies between was another lane's to deliver. */
export function ownRanges(ranges: readonly LostRange[], spans: readonly Span[]): LostRange[] {
  return ranges.flatMap((range) =>
    spans.flatMap(({ start, end }) => {
      const from = Math.max(range.from, start);
      const to = Math.min(range.to, end - 1);
      return from > to ? [] : [{ ...range, from, to }];
    }),
  );
}

/** A window of a partition as a lane sees it: a view that moves with the log. */
export class WindowView implements LaneSource {
  readonly id: number;
  readonly #base: LaneSource;
  readonly #window: LaneWindow;

  constructor(base: LaneSource, window: LaneWindow) {
    this.id = laneIdOf(base.id, window);
    this.#base = base;
    this.#window = window;
  }

  get topic(): string {
    return this.#base.topic;
  }

  get partition(): number {
    return this.#base.partition;
  }

  get logStartOffset(): Offset {
    return clamp(this.#base.logStartOffset, this.#window);
  }

  get logEndOffset(): Offset {
    return clamp(this.#base.logEndOffset, this.#window);
  }

  /** Estimated from its share of the stored records. */
  get bytes(): number {
    const { logStartOffset, logEndOffset, bytes } = this.#base;
    const stored = logEndOffset - logStartOffset;
    return stored <= 0 ? 0 : (bytes * (this.logEndOffset - this.logStartOffset)) / stored;
  }
}

/** How far one lane has come. */
export type WindowPlace = Pick<LaneWindow, "start" | "end"> & { readonly settled: Offset };

/** Of a partition that no hub has heard of yet. */
export const unheardPlaces: readonly WindowPlace[] = [{ start: 0, end: Infinity, settled: 0 }];

/** Records before the log's end that are delivered or declared lost. `places`: oldest first. */
export function settledCount(places: readonly WindowPlace[]): number {
  return places.reduce((sum, { start, settled }) => sum + settled - start, places[0]?.start ?? 0);
}

/** Everything before it is settled in all windows: the log may be trimmed so far. */
export function settledEnd(places: readonly WindowPlace[]): Offset {
  const open = places.find(({ settled, end }) => settled < end);
  return (open ?? places.at(-1))?.settled ?? 0;
}
