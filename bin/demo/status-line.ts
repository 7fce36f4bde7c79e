/** The demo's live line, from two looks at its counters; pure. */
import { formatBytes, formatCount, formatCountOf } from "../table.ts";

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

const SEPARATOR = " | ";

/**
 * "sensors 76/s > hub 76/s > group 76/s | lag 0 | backlog 0 | 5 ms end to end | 2.1 MiB on disk | 4,230 records", or as
 * many of these parts as `columns` have room for: a line that wraps cannot be drawn over.
 */
export function renderStatusLine(before: Look, now: Look, columns = Number.POSITIVE_INFINITY): string {
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
    ...(now.latencyMs === undefined ? [] : [`${Math.round(now.latencyMs)} ms end to end`]),
    `${formatBytes(now.diskBytes)} on disk`,
    formatCountOf(now.stored, "record"),
  ];
  while (parts.length > 1 && parts.join(SEPARATOR).length >= columns) parts.pop();
  return parts.join(SEPARATOR).slice(0, Math.max(0, columns - 1));
}

/** The middle value; undefined of none. */
export function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
