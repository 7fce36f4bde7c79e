/**
 * Producers and consumers that count nothing but time: kcat (librdkafka) and Kafka's own perf tools. Both return how many
 * seconds the records took, the client's start left out as far as it says.
 */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import type { After } from "../../test/support/clean-up.ts";
import { TestChild } from "../../test/support/child-process.ts";
import { kafkaProgram } from "../peers/kafka.ts";

export type Codec = "none" | "lz4" | "zstd";

export type Work = {
  readonly address: string;
  readonly topic: string;
  readonly records: number;
  readonly recordBytes: number;
  readonly codec: Codec;
  /** One record a line. */
  readonly file: string;
};

export type KafkaClient = {
  readonly name: string;
  readonly produce: (t: After, work: Work) => Promise<number>;
  readonly consume: (t: After, work: Work) => Promise<number>;
};

const RUN_MS_MAX = 120_000;
const LINES_AT_ONCE = 1000;

async function runFor(
  t: After,
  command: string,
  args: readonly string[],
): Promise<{ lines: string[]; seconds: number }> {
  const lines: string[] = [];
  const startMs = performance.now();
  const child = await TestChild.start(t, { command, args, onLine: (line) => lines.push(line) });
  const { code } = await child.exitWithin(RUN_MS_MAX);
  if (code !== 0) throw new Error(`failed: ${child.describe()}`);
  return { lines, seconds: (performance.now() - startMs) / 1000 };
}

export const kcatClient: KafkaClient = {
  name: "librdkafka",
  produce: async (t, { address, topic, codec, file }) => {
    const args = ["-P", "-b", address, "-t", topic, "-z", codec, "-X", "acks=all", "-l", file];
    return (await runFor(t, "kcat", args)).seconds;
  },
  consume: async (t, { address, topic, records }) => {
    // Prints a byte a record, so that what was read is known.
    let read = 0;
    const args = ["-C", "-b", address, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "."];
    const startMs = performance.now();
    const onData = (chunk: Buffer): void => void (read += chunk.length);
    const child = await TestChild.start(t, { command: "kcat", args, onData });
    const { code } = await child.exitWithin(RUN_MS_MAX);
    if (code !== 0 || read !== records) throw new Error(`read ${read} of ${records}: ${child.describe()}`);
    return (performance.now() - startMs) / 1000;
  },
};

export const perfTools: KafkaClient = {
  name: "Kafka's perf tools",
  produce: async (t, { address, topic, codec, file, records }) => {
    const { command, args } = await kafkaProgram("org.apache.kafka.tools.ProducerPerformance", ["-Xmx512M"]);
    const what = ["--topic", topic, "--num-records", String(records), "--payload-file", file, "--throughput", "-1"];
    const settings = [`bootstrap.servers=${address}`, "acks=all", `compression.type=${codec}`];
    const { lines } = await runFor(t, command, [...args, ...what, "--producer-props", ...settings]);
    const rate = /([\d.]+) records\/sec/.exec(lines.at(-1) ?? "")?.[1];
    if (rate === undefined) throw new Error(`the producer said: ${lines.join("\n")}`);
    return records / Number(rate);
  },
  consume: async (t, { address, topic, records }) => {
    const { command, args } = await kafkaProgram("org.apache.kafka.tools.ConsumerPerformance", ["-Xmx512M"]);
    const what = ["--bootstrap-server", address, "--topic", topic, "--num-records", String(records)];
    const { lines } = await runFor(t, command, [...args, ...what, "--hide-header", "--timeout", "30000"]);
    // start, end, MB, MB/s, records, records/s, rebalance ms, fetch ms, fetch MB/s, fetch records/s
    const cells = (lines.at(-1) ?? "").split(",").map((cell) => cell.trim());
    const fetchMs = Number(cells[7]);
    if (!(fetchMs > 0) || Number(cells[4]) < records) throw new Error(`the consumer said: ${lines.join("\n")}`);
    return fetchMs / 1000;
  },
};

/** Readings as a gateway sends them, padded with more of the same to `recordBytes`; digits are random. */
export async function writeRecords(file: string, records: number, recordBytes: number): Promise<void> {
  const stream = createWriteStream(file);
  for (let at = 0; at < records; at += LINES_AT_ONCE) {
    const count = Math.min(LINES_AT_ONCE, records - at);
    const lines = Array.from({ length: count }, (_, index) => `${record(at + index, recordBytes)}\n`);
    if (!stream.write(lines.join(""))) await once(stream, "drain");
  }
  stream.end();
  await once(stream, "finish");
}

function record(sequence: number, recordBytes: number): string {
  let text = "";
  while (text.length < recordBytes) {
    text += `{"seq":${sequence},"temperature":${(Math.random() * 40).toFixed(3)},"rpm":${Math.floor(Math.random() * 9000)}}`;
  }
  return text.slice(0, recordBytes);
}
