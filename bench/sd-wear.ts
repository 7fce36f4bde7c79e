/**
 * Measures what a message costs an SD card: the bytes that the agent has written to the disk for it, as Linux counts them
 * (/proc/PID/io), at several rates and for several values of `log.commitIntervalMs`.
 *
 *   node bench/sd-wear.ts [--data DIR] [--scale 1] [--write]
 *
 * QoS 1, payloads of 100 bytes, every commit flushed; the agent forwards to a hub and deletes what it has confirmed. It
 * takes about twelve minutes; `--scale 0.2` shortens the runs to a fifth. `--write` makes docs/sd-wear.md of the result.
 * How busy the machine is changes little: the bytes are counted, not the time they take.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { diskBytesWritten } from "../agent/admin/disk-writes.ts";
import { TestChild } from "../test/support/child-process.ts";
import { onCleanUp } from "../test/support/clean-up.ts";
import type { After } from "../test/support/clean-up.ts";
import { startHub } from "../test/support/programs.ts";
import type { WearResult, WearRun } from "./sd-wear-run.ts";

const RUN_PROGRAM = fileURLToPath(new URL("sd-wear-run.ts", import.meta.url));
const PAGE = fileURLToPath(new URL("../docs/sd-wear.md", import.meta.url));
const PAYLOAD_BYTES = 100;
const CLIENTS = 10;
/** More than come within the longest interval. */
const WINDOW_MAX = 200;
const DAY_SECONDS = 86_400;
const GB = 1e9;

/** Runs at low rates hardly load the machine, and can go side by side. */
const rates = [
  { perSecond: 1, seconds: 180, isParallel: true },
  { perSecond: 10, seconds: 300, isParallel: true },
  { perSecond: 100, seconds: 20, isParallel: false },
  { perSecond: 1000, seconds: 15, isParallel: false },
] as const;
type Rate = (typeof rates)[number];

type Column = Pick<WearRun, "commitIntervalMs" | "clients" | "windowMax"> & { readonly title: string };

const columns: readonly Column[] = [
  // One client that waits for each answer: no two messages meet in a commit.
  { title: "a commit a message", commitIntervalMs: 0, clients: 1, windowMax: 1 },
  ...[0, 50, 250, 1000].map((commitIntervalMs) => {
    return { title: String(commitIntervalMs), commitIntervalMs, clients: CLIENTS, windowMax: WINDOW_MAX };
  }),
];

type Measured = { readonly rate: Rate; readonly bytesPerRecord: readonly number[] };

async function measure(t: After, run: WearRun, data: string): Promise<WearResult> {
  const lines: string[] = [];
  const args = [RUN_PROGRAM, JSON.stringify(run)];
  const child = await TestChild.start(t, {
    command: process.execPath,
    args,
    env: { TMPDIR: data },
    onLine: (line) => lines.push(line),
  });
  const { code } = await child.exited;
  if (code !== 0 || lines[0] === undefined) throw new Error(`${run.name} failed: ${child.describe()}`);
  process.stderr.write(`${run.name}: ${lines[0]}\n`);
  return JSON.parse(lines[0]) as WearResult;
}

async function measureRate(
  t: After,
  rate: Rate,
  { hub, data, scale, idleBytes }: { hub: string; data: string; scale: number; idleBytes: number },
): Promise<Measured> {
  const { perSecond, isParallel } = rate;
  const shape = { uplinkUrl: hub, payloadBytes: PAYLOAD_BYTES, perSecond, seconds: rate.seconds * scale };
  const runs = columns.map(({ title: _title, ...column }, index): WearRun => {
    return { ...shape, ...column, name: `${perSecond}-${index}` };
  });
  const results: WearResult[] = [];
  if (isParallel) results.push(...(await Promise.all(runs.map((run) => measure(t, run, data)))));
  else for (const run of runs) results.push(await measure(t, run, data));
  return { rate, bytesPerRecord: results.map(({ records, writtenBytes }) => (writtenBytes - idleBytes) / records) };
}

function formatBytes(bytes: number): string {
  return bytes >= 10_000
    ? `${(bytes / 1000).toFixed(0)} kB`
    : bytes >= 1000
      ? `${(bytes / 1000).toFixed(1)} kB`
      : `${bytes.toFixed(0)} B`;
}

/** Two numbers a cell: of a record, and of a day. */
function renderRow({ rate, bytesPerRecord }: Measured): string {
  const cells = bytesPerRecord.map((bytes) => {
    const perDay = (bytes * rate.perSecond * DAY_SECONDS) / GB;
    return `${formatBytes(bytes)} · ${perDay >= 10 ? perDay.toFixed(0) : perDay.toFixed(2)} GB`;
  });
  return `| ${rate.perSecond.toLocaleString("en-US")} | ${cells.join(" | ")} |`;
}

function renderTable(measured: readonly Measured[]): string {
  return [
    `| messages a second | ${columns.map(({ title }) => title).join(" | ")} |`,
    `| ---: |${" ---: |".repeat(columns.length)}`,
    ...measured.map(renderRow),
  ].join("\n");
}

function renderPage(table: string): string {
  return `# SD card wear

What the agent writes to its card for a message of ${PAYLOAD_BYTES} bytes, and in a day, by rate and \`log.commitIntervalMs\` (the first
column is one sensor that waits for each answer, so that no two messages share a commit):

${table}

Measured by \`node bench/sd-wear.ts --write\`: QoS 1, ${CLIENTS} sensors, every commit flushed before its PUBACK, connected to a
hub, on ext4. The bytes are those of \`write_bytes\` in /proc, with the checkpoint that moves them into the database; what an
agent writes to start and to stop is taken off.

## How to choose

- A card's endurance divided by the bytes of a day is its life. Consumer cards are quoted at 500 to 1,000 writes of their
  whole size: a 32 GB card takes 16,000 to 32,000 GB at best, and a good part less for what follows below.
- A commit costs some 7 to 25 kB whatever is in it: pages of the database for each partition that it touches, and the
  page of the file system that it ends in. What counts is therefore how many messages share one.
- \`commitIntervalMs: 0\` (the default) commits as soon as the disk is free: the lowest latency, and the faster the disk,
  the fewer messages a commit. A slow card gathers more of them by itself than the disk on which this was measured.
- An interval of 250 or 1000 ms divides the bytes by the number of messages that come within it. It is the longest that a
  PUBACK waits, so a sensor that waits for each answer sends one message an interval; one that sends several at once does
  not notice. Nothing that was acknowledged is ever at risk.
- At one message a second or fewer an interval changes nothing: there is nothing to gather. There the bytes are few, too.
- Fewer partitions for a topic (\`partitions\` of its route) are fewer pages a commit.
- \`/status\` says what your agent really writes: \`disk.bytesPerRecord\`, and \`disk.bytesPerDay\` at the rate of the last
  hour. \`/metrics\` has them as \`agent_disk_written_bytes_per_record\` and \`agent_disk_written_bytes_per_day\`.

## What the numbers leave out

- The file system's own journal: ext4 writes metadata of its own, at each flush that made a file longer and every few
  seconds. \`noatime\` and a data partition of its own keep it small.
- What the card makes of it: cards write in blocks of 16 KiB and more, and move data about to spread the wear. Small writes
  cost them a multiple, which only the maker knows; industrial cards say so in their data sheets.
- Other programs: logs, swap, package updates. On a gateway they are often more than the messages; \`journald\` belongs in
  memory.
`;
}

async function main(t: After): Promise<void> {
  const { values } = parseArgs({
    options: {
      data: { type: "string", default: tmpdir() },
      scale: { type: "string", default: "1" },
      write: { type: "boolean", default: false },
    },
  });
  if ((await diskBytesWritten(values.data)) === undefined) {
    const { type } = await statfs(values.data);
    throw new Error(
      `${values.data} is not on a disk (file system ${type.toString(16)}), or this is not Linux: use --data`,
    );
  }
  const data = mkdtempSync(path.join(values.data, "tributary-wear-"));
  const hub = await startHub(t, { data: path.join(data, "hub") });
  onCleanUp(t, () => rmSync(data, { recursive: true, force: true }));
  const measured: Measured[] = [];
  const shape = { clients: CLIENTS, windowMax: WINDOW_MAX, payloadBytes: PAYLOAD_BYTES, commitIntervalMs: 0 };
  const idle = { ...shape, uplinkUrl: hub.uplinkUrl, name: "idle", perSecond: 0, seconds: 1 };
  // The last checkpoint has the warm-up's pages too, and to end costs something by itself.
  const { writtenBytes: idleBytes } = await measure(t, idle, data);
  for (const rate of rates) {
    measured.push(await measureRate(t, rate, { hub: hub.uplinkUrl, data, scale: Number(values.scale), idleBytes }));
  }
  const table = renderTable(measured);
  process.stdout.write(`${table}\n`);
  if (values.write) writeFileSync(PAGE, renderPage(table));
}

const cleanUps: (() => unknown)[] = [];
try {
  await main({ after: (cleanUp: () => unknown) => void cleanUps.push(cleanUp) });
} finally {
  for (const cleanUp of cleanUps) await cleanUp();
}
