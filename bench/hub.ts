/**
 * Claim: the hub by itself costs no more than a Kafka broker, for a record that comes and goes through Kafka clients.
 *
 *   kcat (librdkafka), Kafka's perf tools ─produce, acks=all─▶ broker ─fetch─▶ the same clients
 *
 * The peer is Apache Kafka, one broker, from Maven. `--seconds` has no meaning here: the records are counted. The rate per
 * CPU second is what the broker's own processor time allows: the clients, on the same cores, are not in it.
 */
import path from "node:path";
import { openAdmin } from "../test/support/topic-ends.ts";
import { kcatClient, perfTools, writeRecords } from "./load/kafka-clients.ts";
import type { KafkaClient, Codec } from "./load/kafka-clients.ts";
import { readUsage, usageSince } from "./measure/process-usage.ts";
import { inDirectory } from "./measure/scope.ts";
import type { Broker } from "./peers/broker.ts";
import { kafkas } from "./peers/kafka.ts";
import { tributaryHub } from "./peers/tributary.ts";
import { runBenchmark } from "./report/rounds.ts";
import type { After } from "../test/support/clean-up.ts";

const MILLION = 1e6;
const MIB = 1024 * 1024;
/** Of one measurement: long enough to matter beside a client's start. */
const BYTES = 60e6;
const RECORD_BYTES = [100, 1000] as const;
const CODECS: readonly Codec[] = ["none", "lz4", "zstd"];
const PARTITIONS = [1, 16] as const;

type Row = {
  readonly name: string;
  readonly client: KafkaClient;
  readonly recordBytes: number;
  readonly codec: Codec;
  readonly partitions: number;
};

const rows: readonly Row[] = [kcatClient, perfTools].flatMap((client) =>
  RECORD_BYTES.flatMap((recordBytes) =>
    CODECS.flatMap((codec) =>
      PARTITIONS.map((partitions) => {
        const name = `${client.name}, ${recordBytes} B, ${codec}, ${partitions} partition${partitions === 1 ? "" : "s"}`;
        return { name, client, recordBytes, codec, partitions };
      }),
    ),
  ),
);

async function produceAndConsume(t: After, broker: Broker, work: { row: Row; topic: string; file: string }) {
  const { row, topic, file } = work;
  const { client, recordBytes, codec } = row;
  const records = BYTES / recordBytes;
  const admin = await openAdmin(t, broker.address);
  await admin.createTopics({ topics: [{ topic, numPartitions: row.partitions, replicationFactor: 1 }] });
  const whole = { address: broker.address, topic, records, recordBytes, codec, file };
  const start = readUsage(broker.pid());
  const produceSeconds = await client.produce(t, whole);
  const produced = readUsage(broker.pid());
  const consumeSeconds = await client.consume(t, whole);
  const consumed = readUsage(broker.pid());
  const produceCpu = usageSince(start, produced).cpuSeconds;
  const consumeCpu = usageSince(produced, consumed).cpuSeconds;
  return {
    perCpuSecond: records / (produceCpu + consumeCpu),
    produced: records / produceSeconds,
    consumed: records / consumeSeconds,
    produceCpu: (produceCpu / records) * MILLION,
    consumeCpu: (consumeCpu / records) * MILLION,
    rss: consumed.residentBytes / MIB,
    disk: usageSince(start, consumed).diskBytes / records,
  };
}

await runBenchmark({
  name: "hub",
  claim: "Hub alone: produce and fetch through Kafka clients, one broker",
  metrics: [
    { key: "perCpuSecond", title: "in and out per CPU s", digits: 0, better: "more", isGuarded: true },
    { key: "produced", title: "produced/s", digits: 0, better: "more" },
    { key: "consumed", title: "consumed/s", digits: 0, better: "more" },
    { key: "produceCpu", title: "produce cpu s/M", digits: 2, better: "less" },
    { key: "consumeCpu", title: "consume cpu s/M", digits: 2, better: "less" },
    { key: "rss", title: "RSS MiB", digits: 0, better: "less" },
    { key: "disk", title: "disk B/record", digits: 0, better: "less" },
  ],
  contenders: [tributaryHub(), ...(await kafkas())],
  rows,
  defaults: { rounds: 3, seconds: 0 },
  measure: (contender, row) =>
    inDirectory(async (t, directory) => {
      const broker = await contender.start(t, directory);
      const file = path.join(directory, "records");
      await writeRecords(file, BYTES / row.recordBytes, row.recordBytes);
      // The first time is that of compilers and caches.
      await produceAndConsume(t, broker, { row, topic: "warm-up", file });
      return produceAndConsume(t, broker, { row, topic: "measured", file });
    }),
});
