/** The demo's live line, from two looks at its counters; pure. */
import { formatBytes, formatCount } from "../table.ts";

/** Counters since the start; each only grows, except the backlog. */
export type Look = {
  /** On the monotonic clock. */
  readonly atMs: number;
  /** Messages that the agent has acknowledged. */
  readonly acknowledged: number;
  /** Records in the hub's topics. */
  readonly stored: number;
  /** Records that the demo's consumer group has read. */
  readonly consumed: number;
  /** Records at the hub that the group has still to read. */
  readonly lag: number;
  /** Records that the agent has not yet brought to the hub; undefined when it did not say. */
  readonly backlog: number | undefined;
  /** Of both logs on the disk. */
  readonly diskBytes: number;
  /** From a sensor's timestamp to the consumer, median since the last look; undefined when nothing came. */
  readonly latencyMs: number | undefined;
};

/** "sensors 76/s > hub 76/s > group 76/s | lag 0 | backlog 0 | 2.1 MiB on disk | 5 ms from sensor to consumer" */
export function renderStatusLine(before: Look, now: Look): string {
  const seconds = (now.atMs - before.atMs) / 1000;
  const rate = (count: (look: Look) => number): string => {
    const perSecond = seconds > 0 ? (count(now) - count(before)) / seconds : 0;
    return `${formatCount(Math.round(Math.max(0, perSecond)))}/s`;
  };
  const path = [
    `sensors ${rate((look) => look.acknowledged)}`,
    `hub ${rate((look) => look.stored)}`,
    `group ${rate((look) => look.consumed)}`,
  ].join(" > ");
  const parts = [
    path,
    `lag ${formatCount(now.lag)}`,
    `backlog ${now.backlog === undefined ? "?" : formatCount(now.backlog)}`,
    `${formatCount(now.stored)} records`,
    `${formatBytes(now.diskBytes)} on disk`,
  ];
  if (now.latencyMs !== undefined) parts.push(`${Math.round(now.latencyMs)} ms from sensor to consumer`);
  return parts.join(" | ");
}

/** Cut to what a terminal shows on one line, because a line that wraps cannot be drawn over. */
export function fitLine(line: string, columns: number | undefined): string {
  if (columns === undefined || line.length < columns) return line;
  return `${line.slice(0, Math.max(0, columns - 2))}…`;
}

/** The middle value; undefined of none. */
export function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
