/**
 * Claim: a record costs the same however much there is beside it: partitions, and what is stored.
 *
 *   kcat ─produce─▶ 1, 100, 1,000 partitions           ─produce─▶ one partition that holds 1 MB, 256 MB, 2 GB
 *
 * The peer is Apache Kafka, one broker, which shows how much of the growth is the clients': their batches become smaller
 * with every partition. `--seconds` has no meaning here: the records are counted.
 */
import path from "node:path";
import { openAdmin } from "../test/support/topic-ends.ts";
import { kcatClient, writeRecords } from "./load/kafka-clients.ts";
import { readUsage, usageSince } from "./measure/process-usage.ts";
import { inDirectory } from "./measure/scope.ts";
import { kafkas } from "./peers/kafka.ts";
import { tributaryHub } from "./peers/tributary.ts";
import { runBenchmark } from "./report/rounds.ts";

const RECORD_BYTES = 1000;
const FILE_BYTES = 64e6;
const RECORDS = FILE_BYTES / RECORD_BYTES;
const MILLION = 1e6;
const MIB = 1024 * 1024;

await runBenchmark({
  name: "growth",
  claim: "Growth: the cost of a 1,000 B record, uncompressed, with more partitions and more stored",
  metrics: [
    { key: "cpu", title: "produce cpu s/M", digits: 2, better: "less", isGuarded: true },
    { key: "produced", title: "produced/s", digits: 0, better: "more" },
    { key: "rss", title: "RSS MiB", digits: 0, better: "less" },
    { key: "disk", title: "disk B/record", digits: 0, better: "less" },
  ],
  contenders: [tributaryHub(), ...(await kafkas())],
  rows: [
    { name: "1 partition", partitions: 1, storedBytes: 0 },
    { name: "100 partitions", partitions: 100, storedBytes: 0 },
    { name: "1,000 partitions", partitions: 1000, storedBytes: 0 },
    { name: "256 MB stored", partitions: 1, storedBytes: 256e6 },
    { name: "2 GB stored", partitions: 1, storedBytes: 2e9 },
  ],
  defaults: { rounds: 3, seconds: 0 },
  measure: (contender, { partitions, storedBytes }) =>
    inDirectory(async (t, directory) => {
      const broker = await contender.start(t, directory);
      const admin = await openAdmin(t, broker.address);
      await admin.createTopics({ topics: [{ topic: "growth", numPartitions: partitions, replicationFactor: 1 }] });
      const file = path.join(directory, "records");
      await writeRecords(file, RECORDS, RECORD_BYTES);
      const sizes = { records: RECORDS, recordBytes: RECORD_BYTES, file };
      const work = { address: broker.address, topic: "growth", codec: "none", ...sizes } as const;
      // At least once, so that compilers and caches are warm.
      for (let bytes = 0; bytes <= storedBytes; bytes += FILE_BYTES) await kcatClient.produce(t, work);
      const before = readUsage(broker.pid());
      const seconds = await kcatClient.produce(t, work);
      const used = usageSince(before, readUsage(broker.pid()));
      return {
        cpu: (used.cpuSeconds / RECORDS) * MILLION,
        produced: RECORDS / seconds,
        rss: used.residentBytes / MIB,
        disk: used.diskBytes / RECORDS,
      };
    }),
});
