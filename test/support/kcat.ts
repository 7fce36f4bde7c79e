/** kcat (librdkafka) as a consumer from outside: what it prints, parsed. */
import type { After } from "./clean-up.ts";
import { TestChild } from "./child-process.ts";
import { decodePayload } from "./payload.ts";
import type { CheckedRecord } from "./checker.ts";

const KCAT = "kcat";
/** Partition, offset, timestamp, value. Our payloads have no line ends. */
const FORMAT = "%p %o %T %s\\n";
const EXIT_MS_MAX = 60_000;

export type KcatRecord = CheckedRecord & { readonly timestamp: number; readonly sentAtUs: number };

export function parseKcatLine(line: string): KcatRecord {
  const [partition, offset, timestamp] = line.split(" ", 3);
  if (partition === undefined || offset === undefined || timestamp === undefined) {
    throw new Error(`not a record of kcat's: ${line}`);
  }
  const value = line.slice(partition.length + offset.length + timestamp.length + 3);
  return {
    partition: Number(partition),
    offset: Number(offset),
    timestamp: Number(timestamp),
    ...decodePayload(value),
  };
}

export type KcatReader = { readonly child: TestChild; readonly records: readonly KcatRecord[] };

async function startReader(t: After, args: readonly string[]): Promise<KcatReader> {
  const records: KcatRecord[] = [];
  const onLine = (line: string): void => {
    records.push(parseKcatLine(line));
  };
  const child = await TestChild.start(t, { command: KCAT, args: [...args, "-u", "-f", FORMAT], onLine });
  return { child, records };
}

/** A member of a consumer group that follows until it is ended, also without a hub; SIGTERM makes it commit and leave. */
export function startGroupMember(
  t: After,
  { address, group, topic }: { readonly address: string; readonly group: string; readonly topic: string },
): Promise<KcatReader> {
  const start = ["-X", "auto.offset.reset=earliest"];
  return startReader(t, ["-b", address, "-q", "-E", ...start, "-G", group, topic]);
}

/** Everything from `from` (as kcat's -o: "beginning", "s@TIMESTAMP") to the end. @throws when kcat fails. */
export async function readAll(
  t: After,
  { address, topic, from = "beginning" }: { readonly address: string; readonly topic: string; readonly from?: string },
): Promise<readonly KcatRecord[]> {
  const { child, records } = await startReader(t, ["-b", address, "-q", "-e", "-C", "-t", topic, "-o", from]);
  const { code } = await child.exitWithin(EXIT_MS_MAX);
  if (code !== 0) throw new Error(`kcat failed: ${child.describe()}`);
  return records;
}

/** Everything, and whether each record says that newer ones have overtaken it. */
export async function readAllMarked(
  t: After,
  { address, topic }: { readonly address: string; readonly topic: string },
): Promise<readonly (KcatRecord & { readonly isHistorical: boolean })[]> {
  const records: (KcatRecord & { readonly isHistorical: boolean })[] = [];
  const onLine = (line: string): void => {
    const headersEnd = line.indexOf("\t");
    const isHistorical = line.slice(0, headersEnd).split(",").includes("historical=true");
    records.push({ ...parseKcatLine(line.slice(headersEnd + 1)), isHistorical });
  };
  const args = ["-b", address, "-q", "-e", "-C", "-t", topic, "-o", "beginning", "-u", "-f", `%h\t${FORMAT}`];
  const child = await TestChild.start(t, { command: KCAT, args, onLine });
  const { code } = await child.exitWithin(EXIT_MS_MAX);
  if (code !== 0) throw new Error(`kcat failed: ${child.describe()}`);
  return records;
}

export type ListedTopic = { readonly topic: string; readonly partitions: readonly { readonly partition: number }[] };

/** kcat -L -J. */
export async function listTopics(t: After, address: string): Promise<readonly ListedTopic[]> {
  const lines: string[] = [];
  const args = ["-b", address, "-L", "-J"];
  const child = await TestChild.start(t, { command: KCAT, args, onLine: (line) => lines.push(line) });
  const { code } = await child.exitWithin(EXIT_MS_MAX);
  if (code !== 0) throw new Error(`kcat failed: ${child.describe()}`);
  const { topics } = JSON.parse(lines.join("\n")) as { readonly topics: readonly ListedTopic[] };
  return topics;
}

/** The values of all records of partition 0, in order. @throws when kcat fails. */
export async function readValues(
  t: After,
  { address, topic }: { readonly address: string; readonly topic: string },
): Promise<readonly string[]> {
  const values: string[] = [];
  const args = ["-b", address, "-q", "-e", "-C", "-t", topic, "-p", "0", "-o", "beginning", "-u", "-f", "%s\\n"];
  const child = await TestChild.start(t, { command: KCAT, args, onLine: (line) => values.push(line) });
  const { code } = await child.exitWithin(EXIT_MS_MAX);
  if (code !== 0) throw new Error(`kcat failed: ${child.describe()}`);
  return values;
}
