/** docs/performance.md, from what is recorded. */
import { median, OURS, ratio, rowsOf, valuesOf } from "./results.ts";
import type { Results } from "./results.ts";
import { formatNumber, tableOf } from "./tables.ts";

/** Nearer to each other than this is noise. */
const AHEAD_SHARE = 0.1;

const NOTHING_RECORDED =
  "Nothing is recorded yet: `node bench/pipeline.ts --record` and its neighbours do, on a machine that does nothing else.";

export function performancePage(recorded: readonly Results[]): string {
  const parts = [
    "# Performance",
    "<!-- Generated from bench/recorded/ by `npm run docs`; a change here would be lost. -->",
    [
      "Measured against what people use today, on one machine, in turns (A B C A B C): a cell is the median of the rounds,",
      "in parentheses the least and the most, and behind × ours divided by the peer's, the median of the rounds' ratios.",
      "Load, edge, hub and reader share the machine's cores. Absolute numbers are those of the machine; only the ratios mean",
      "something elsewhere. `npm run bench:guard` measures again and fails where a ratio has become worse.",
      "Disk bytes are `write_bytes` of /proc; uplink bytes what TCP carried from edge to hub, without its headers. Payloads",
      "are a name, two numbers and padding: they compress as the readings of a sensor do, or somewhat better.",
    ].join("\n"),
    ...(recorded.length === 0 ? [NOTHING_RECORDED] : recorded.flatMap((results) => sectionOf(results))),
  ];
  return `${parts.join("\n\n")}\n`;
}

function sectionOf(results: Results): readonly string[] {
  const contenders = results.contenders.map(
    ({ name, version, durability }) => `- ${name}, version ${version}: ${durability}.`,
  );
  const tables = rowsOf(results).map((row) => {
    const { columns, rows } = tableOf(results, row);
    const rule = columns.map(({ align }) => (align === "right" ? "---:" : "---"));
    return [columns.map(({ title }) => title), rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  });
  const ahead = peersAhead(results);
  const verdict =
    ahead.length === 0 ? ["No peer is ahead in any of it."] : ["Where a peer is ahead:", ahead.join("\n")];
  return [
    `## ${results.claim}`,
    `\`${results.command}\`, ${results.date}, on ${results.machine}.`,
    contenders.join("\n"),
    ...tables,
    ...verdict,
  ];
}

export function peersAhead(results: Results): readonly string[] {
  return rowsOf(results).flatMap((row) =>
    results.contenders.flatMap(({ name }) => {
      if (name.startsWith(OURS)) return [];
      const ahead = results.metrics.flatMap(({ key, title, better, digits }) => {
        const ours = ratio(results, row, name, key);
        const theirs = median(valuesOf(results, row, name, key));
        const isAhead = better === "more" ? ours < 1 - AHEAD_SHARE : ours > 1 + AHEAD_SHARE;
        return isAhead ? [`${title} ${formatNumber(theirs, digits)} (ours ×${formatNumber(ours, 2)})`] : [];
      });
      return ahead.length === 0 ? [] : [`- ${row}, ${name}: ${ahead.join("; ")}.`];
    }),
  );
}
