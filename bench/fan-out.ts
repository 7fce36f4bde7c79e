/**
 * Claim: a record is delivered to many groups for little more than to one: at the tail, and when groups replay.
 *
 *   kcat ─produce─▶ broker ─▶ 1, 10, 50 groups that wait at its end        5 groups from the beginning, all at once
 *
 * The peer is Apache Kafka, one broker. `--seconds` has no meaning here: the records are counted. Each group is a kcat, and
 * all share the cores with the broker, so that what counts is the broker's processor time for a delivered record.
 */
import path from "node:path";
import { TestChild } from "../test/support/child-process.ts";
import type { After } from "../test/support/clean-up.ts";
import { openAdmin } from "../test/support/topic-ends.ts";
import { waitUntil } from "../test/support/wait-until.ts";
import { kcatClient, writeRecords } from "./load/kafka-clients.ts";
import { readUsage, usageSince } from "./measure/process-usage.ts";
import { inDirectory } from "./measure/scope.ts";
import { kafkas } from "./peers/kafka.ts";
import { tributaryHub } from "./peers/tributary.ts";
import { runBenchmark } from "./report/rounds.ts";

const TOPIC = "fan-out";
const RECORD_BYTES = 100;
const RECORDS = 100_000;
const PARTITIONS = 4;
const OUTPUT_BLOCK_BYTES = 4096;
const DEADLINE_MS = 120_000;
const MILLION = 1e6;
const MIB = 1024 * 1024;

type Group = { readonly name: string; readonly count: () => number };

async function startGroup(t: After, address: string, name: string): Promise<Group> {
  let bytes = 0;
  await TestChild.start(t, {
    command: "kcat",
    args: ["-b", address, "-q", "-X", "auto.offset.reset=earliest", "-f", "%s\\n", "-G", name, TOPIC],
    onData: (chunk) => void (bytes += chunk.length),
  });
  return { name, count: () => Math.floor(bytes / (RECORD_BYTES + 1)) };
}

/** All but what kcat holds back of its output: less than a block. */
async function arrived(readers: readonly Group[], records: number): Promise<void> {
  const expected = records - Math.ceil(OUTPUT_BLOCK_BYTES / RECORD_BYTES);
  await waitUntil(() => readers.every(({ count }) => count() >= expected), {
    what: "all records at all groups",
    deadlineMs: DEADLINE_MS,
    describe: () => readers.map(({ name, count }) => `${name} ${count()}`).join(", "),
  });
}

await runBenchmark({
  name: "fan-out",
  claim: "Fan-out: 100 B records, lz4, to many consumer groups",
  metrics: [
    { key: "cpu", title: "cpu s/M delivered", digits: 2, better: "less", isGuarded: true },
    { key: "delivered", title: "delivered/s", digits: 0, better: "more" },
    { key: "rss", title: "RSS MiB", digits: 0, better: "less" },
  ],
  contenders: [tributaryHub(), ...(await kafkas())],
  rows: [
    { name: "1 group at the tail", groups: 1, isReplay: false },
    { name: "10 groups at the tail", groups: 10, isReplay: false },
    { name: "50 groups at the tail", groups: 50, isReplay: false },
    { name: "5 groups replaying", groups: 5, isReplay: true },
  ],
  defaults: { rounds: 3, seconds: 0 },
  measure: (contender, { groups, isReplay }) =>
    inDirectory(async (t, directory) => {
      const broker = await contender.start(t, directory);
      const admin = await openAdmin(t, broker.address);
      await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS, replicationFactor: 1 }] });
      const file = path.join(directory, "records");
      await writeRecords(file, RECORDS, RECORD_BYTES);
      const work = {
        address: broker.address,
        topic: TOPIC,
        records: RECORDS,
        recordBytes: RECORD_BYTES,
        file,
      } as const;
      // The first time is that of compilers and caches; those at the tail have read it before it counts.
      await kcatClient.produce(t, { ...work, codec: "lz4" });

      let before = readUsage(broker.pid());
      let startMs = performance.now();
      const names = Array.from({ length: groups }, (_, index) => `group-${index}`);
      const readers = await Promise.all(names.map((name) => startGroup(t, broker.address, name)));
      await arrived(readers, RECORDS);
      if (!isReplay) {
        before = readUsage(broker.pid());
        startMs = performance.now();
        await kcatClient.produce(t, { ...work, codec: "lz4" });
        await arrived(readers, 2 * RECORDS);
      }
      const seconds = (performance.now() - startMs) / 1000;
      const used = usageSince(before, readUsage(broker.pid()));
      const delivered = RECORDS * groups;
      return {
        cpu: (used.cpuSeconds / delivered) * MILLION,
        delivered: delivered / seconds,
        rss: used.residentBytes / MIB,
      };
    }),
});
