/** Text tables for people: columns as wide as their widest cell, numbers to the right. */

import { paintFor, writeLine } from "./context.ts";
import type { CommandContext } from "./context.ts";

export type Column = { readonly title: string; readonly align?: "left" | "right" };

/** Lines of a table, without trailing spaces. Every row must have a cell for each column. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...rows.map((row) => (row[index] ?? "").length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        return columns[index]?.align === "right" ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [line(columns.map((column) => column.title)), ...rows.map(line)];
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** "640 B", "1.5 KiB", "12 MiB": two significant digits below ten, so that a column stays narrow. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be rounded to 1024 already belongs to the next unit.
  while (value >= 1023.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const text = unit === 0 || value >= 9.95 ? String(Math.round(value)) : value.toFixed(1);
  return `${text} ${BYTE_UNITS[unit]}`;
}

/** 1234567 as "1,234,567". */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString("en-US");
}

/** "1 record", "2,000 records". */
export function formatCountOf(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : noun.endsWith("ch") ? "es" : "s"}`;
}

const AGE_UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1000],
] as const;

/** "3 d", "5 h", "12 min", "0 s": the largest unit that fits, whole; never more precise than a glance needs. */
export function formatAge(ms: number): string {
  for (const [unit, unitMs] of AGE_UNITS) if (ms >= unitMs) return `${formatCount(Math.floor(ms / unitMs))} ${unit}`;
  return "0 s";
}

/** UTC, to the millisecond; a number that is no date stays a number. */
export function formatTimestamp(timestamp: number): string {
  const date = new Date(timestamp);
  return Number.isNaN(date.getTime()) ? String(timestamp) : date.toISOString();
}

export const right = (title: string) => ({ title, align: "right" }) as const;

/** Prints a table with its titles in bold. */
export async function writeTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  context: CommandContext,
): Promise<void> {
  const paint = paintFor(context.stdout, context.env);
  const [titles = "", ...lines] = renderTable(columns, rows);
  await writeLine(context.stdout, [paint.strong(titles), ...lines].join("\n"));
}
