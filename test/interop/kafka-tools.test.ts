/**
 * Kafka's own command-line tools against the hub. What is asserted is what they print, and how they end, with a broker
 * of Kafka 4.3.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, suite, test } from "node:test";
import { handlers } from "../../hub/kafka/dispatch.ts";
import type { After } from "../support/clean-up.ts";
import { ClientDriver, codecs, waitForBalance } from "../support/client-driver.ts";
import type { DriverMember } from "../support/client-driver.ts";
import { javaDriver } from "../support/java.ts";
import { KafkaTools, tableOf } from "../support/kafka-tools.ts";
import type { Tool, ToolOptions, ToolOutput } from "../support/kafka-tools.ts";
import { startHub } from "../support/programs.ts";
import type { HubProgram } from "../support/programs.ts";
import { storedBatches } from "../support/stored-batches.ts";
import { tempDir } from "../support/temp-dir.ts";
import { committedOffsets, kafkaJs, openAdmin } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";

const DEADLINE_MS = 60_000;
const START_MS = Date.UTC(2026, 0, 1);
/** Long enough to look at a group that waits for a dead member. */
const SESSION_TIMEOUT_MS = 15_000;
/** Short waits for members; the times of the tools' own starts are enough. */
const HUB_CONFIG = { groups: { sessionTimeoutMinMs: 500, initialRebalanceDelayMs: 200 } };

/** Records at these seconds after START_MS, in partition 0, 1, ... */
type Seconds = readonly (readonly number[])[];

suite("Kafka's command-line tools", { concurrency: 2 }, () => {
  const cleanUps: (() => unknown)[] = [];
  // Of the whole suite; `after` within a hook would end the hub with the hook.
  const lifetime: After = { after: (fn) => void cleanUps.push(fn as () => unknown) };
  let hub: HubProgram;
  let tools: KafkaTools;

  before(async () => {
    hub = await startHub(lifetime, { config: HUB_CONFIG });
    tools = new KafkaTools(hub.kafkaAddress);
    // Fetches the tools, where that has not been done, before the tests' own time runs.
    await tools.succeed(lifetime, "topics", ["--list"]);
  });
  after(async () => {
    for (const cleanUp of cleanUps) await cleanUp();
  });

  const run = (t: After, tool: Tool, line: string, options: ToolOptions = {}): Promise<readonly string[]> =>
    tools.succeed(t, tool, wordsOf(line), options);
  const fail = (t: After, tool: Tool, line: string): Promise<string> => tools.fail(t, tool, wordsOf(line));
  /** With what it says beside its tables, on stderr. */
  const describeGroup = (t: After, group: string, ...what: readonly string[]): Promise<ToolOutput> =>
    tools.run(t, "consumer-groups", ["--describe", "--group", group, ...what]);

  async function seed(t: After, topic: string, seconds: Seconds): Promise<void> {
    const admin = await openAdmin(t, hub.kafkaAddress);
    // The records are older than what the hub keeps by default.
    const configEntries = [{ name: "retention.ms", value: "-1" }];
    await admin.createTopics({
      topics: [{ topic, numPartitions: seconds.length, configEntries }],
      waitForLeaders: false,
    });
    const producer = kafkaJs(hub.kafkaAddress).producer();
    await producer.connect();
    for (const [partition, times] of seconds.entries()) {
      // One by one: each is a batch.
      for (const time of times) {
        const message = { partition, key: `k${time}`, value: `v${time}`, timestamp: String(START_MS + time * 1000) };
        await producer.send({ topic, messages: [message] });
      }
    }
    await producer.disconnect();
  }

  test("topics: created, described, given more partitions, listed, deleted", async (t) => {
    const created = await run(t, "topics", "--create --topic life --partitions 2 --config retention.ms=3600000");
    assert.deepEqual(created, ["Created topic life."]);
    assert.match(await fail(t, "topics", "--create --topic life"), /TopicExistsException/);
    assert.deepEqual(await run(t, "topics", "--create --if-not-exists --topic life"), []);
    const [head = "", ...partitions] = await run(t, "topics", "--describe --topic life");
    assert.match(head, /^Topic: life\tTopicId: [\w-]{22}\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: /);
    assert.match(head, /retention\.ms=3600000/);
    assert.deepEqual(
      partitions.map((line) => line.replace(/\tElr.*/, "")),
      [0, 1].map((i) => `\tTopic: life\tPartition: ${i}\tLeader: 1\tReplicas: 1\tIsr: 1`),
    );
    assert.deepEqual(await run(t, "topics", "--alter --topic life --partitions 3"), []);
    assert.match(await fail(t, "topics", "--alter --topic life --partitions 1"), /InvalidPartitionsException/);
    assert.match((await run(t, "topics", "--describe --topic life"))[0] ?? "", /PartitionCount: 3/);
    assert.match(await fail(t, "topics", "--create --topic f --replication-factor 3"), /InvalidReplicationFactor/);
    assert.ok((await run(t, "topics", "--list")).includes("life"));
    assert.deepEqual(await run(t, "topics", "--delete --topic life"), []);
    assert.match(await fail(t, "topics", "--describe --topic life"), /Topic 'life' does not exist as expected/);
  });

  test("configs: set, described with where they come from, taken back; unknown ones are refused", async (t) => {
    await seed(t, "settings", [[]]);
    const entity = "--entity-type topics --entity-name settings";
    const set = "--alter --add-config retention.ms=7200000,max.message.bytes=100000";
    assert.deepEqual(await run(t, "configs", `${entity} ${set}`), ["Completed updating config for topic settings."]);
    const [head, ...changed] = await run(t, "configs", `${entity} --describe`);
    assert.equal(head, "Dynamic configs for topic settings are:");
    assert.deepEqual(
      changed.map((line) => line.replace(/,.*/, "")),
      [
        "  max.message.bytes=100000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=100000",
        "  retention.ms=7200000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=7200000",
      ],
    );
    await run(t, "configs", `${entity} --alter --delete-config max.message.bytes`);
    const left = await run(t, "configs", `${entity} --describe`);
    assert.deepEqual([left.length, left[1]?.split(" ")[2]], [2, "retention.ms=7200000"]);
    const all = await run(t, "configs", `${entity} --describe --all`);
    for (const expected of [/^ {2}cleanup\.policy=delete /, /^ {2}compression\.type=producer /]) {
      assert.ok(all.some((line) => expected.test(line)));
    }
    assert.match(
      await fail(t, "configs", `${entity} --alter --add-config nonsense=1`),
      /InvalidConfigurationException/,
    );
  });

  test("console producer with each codec, keys and headers; console consumer, in a group from where it was", async (t) => {
    await seed(t, "console", [[]]);
    const keys = "--topic console --reader-property parse.key=true";
    for (const codec of codecs) {
      await run(t, "console-producer", `${keys} --compression-codec ${codec}`, { input: `k-${codec}\tv-${codec}\n` });
    }
    const input = "h:1\tk\tv\n";
    await run(t, "console-producer", `${keys} --reader-property parse.headers=true`, { input });
    const stored = await storedBatches(t, { port: hub.kafkaPort, topic: "console", partitions: 1 });
    assert.deepEqual(
      stored.map(({ codec }) => codec),
      [...codecs, "none"],
    );
    const print = ["key", "offset", "partition", "headers"].map((what) => `--formatter-property print.${what}=true`);
    const read = (count: number): Promise<readonly string[]> =>
      run(
        t,
        "console-consumer",
        `--topic console --group seen --from-beginning --max-messages ${count} ${print.join(" ")}`,
      );
    assert.deepEqual(await read(6), [
      ...codecs.map((codec, i) => `Partition:0\tOffset:${i}\tNO_HEADERS\tk-${codec}\tv-${codec}`),
      "Partition:0\tOffset:5\th:1\tk\tv",
    ]);
    await run(t, "console-producer", keys, { input: "x\ty\n" });
    assert.deepEqual(await read(1), ["Partition:0\tOffset:6\tNO_HEADERS\tx\ty"]);
  });

  test("consumer-groups: described with offsets and lag, reset in every way, offsets and groups deleted", async (t) => {
    await seed(t, "grouped", [
      [0, 1, 2, 3, 4, 5],
      [0, 1],
    ]);
    const admin = await openAdmin(t, hub.kafkaAddress);
    const offsets = [0, 1].map((partition) => ({ partition, offset: "2" }));
    await admin.setOffsets({ groupId: "stock", topic: "grouped", partitions: offsets });
    assert.ok((await run(t, "consumer-groups", "--list")).includes("stock"));
    const listed = tableOf(await run(t, "consumer-groups", "--list --state"), "GROUP");
    assert.deepEqual(
      listed.filter(({ GROUP }) => GROUP === "stock"),
      [{ GROUP: "stock", STATE: "Empty" }],
    );
    const described = await describeGroup(t, "stock");
    assert.match(described.text, /^Consumer group 'stock' has no active members\.$/m);
    const nobody = { GROUP: "stock", TOPIC: "grouped", "CONSUMER-ID": "-", HOST: "-", "CLIENT-ID": "-" };
    assert.deepEqual(tableOf(described.lines, "GROUP"), [
      { ...nobody, PARTITION: "0", "CURRENT-OFFSET": "2", "LOG-END-OFFSET": "6", LAG: "4" },
      { ...nobody, PARTITION: "1", "CURRENT-OFFSET": "2", "LOG-END-OFFSET": "2", LAG: "0" },
    ]);
    const state = await describeGroup(t, "stock", "--state");
    assert.match(state.lines.at(-1) ?? "", /^stock\s+127\.0\.0\.1:\d+\s+\(1\)\s+-\s+Empty\s+0$/);

    const reset = async (how: string, execute = true): Promise<readonly string[]> => {
      const printed = await run(
        t,
        "consumer-groups",
        `--reset-offsets --group stock --topic grouped ${how} --${execute ? "execute" : "dry-run"}`,
      );
      const told = tableOf(printed, "GROUP").map((row) => row["NEW-OFFSET"] ?? "");
      const committed = await committedOffsets(admin, { group: "stock", topic: "grouped" });
      const now = [...committed.values()].map(String);
      assert.deepEqual(now, execute ? told : ["2", "2"], how);
      return told;
    };
    assert.deepEqual(await reset("--to-earliest", false), ["0", "0"]);
    assert.deepEqual(await reset("--to-earliest"), ["0", "0"]);
    assert.deepEqual(await reset("--shift-by 1"), ["1", "1"]);
    // Behind the last of partition 1, hence its end.
    assert.deepEqual(await reset("--to-datetime 2026-01-01T00:00:03.500"), ["4", "2"]);
    assert.deepEqual(await reset("--to-latest"), ["6", "2"]);

    const deleted = await run(t, "consumer-groups", "--delete-offsets --group stock --topic grouped:0");
    assert.match(
      deleted.join("\n"),
      /^Request succeeded for deleting offsets from group stock\.[^]*\ngrouped +0 +Successful/,
    );
    const left = tableOf((await describeGroup(t, "stock")).lines, "GROUP");
    assert.deepEqual(
      left.map(({ PARTITION }) => PARTITION),
      ["1"],
    );
    const gone = await run(t, "consumer-groups", "--delete --group stock");
    assert.deepEqual(gone, ["Deletion of requested consumer groups ('stock') was successful."]);
    const { text } = await tools.run(t, "consumer-groups", ["--delete", "--group", "stock"]);
    assert.match(text, /Group 'stock' could not be deleted due to: [\w.]*GroupIdNotFoundException/);
    assert.match((await describeGroup(t, "stock")).text, /GroupIdNotFoundException/);
  });

  test("consumer-groups --describe --all-groups: members and lag, also while one that died is waited for", async (t) => {
    const topic = "watched";
    await seed(t, topic, [[0, 1], [0], [0], []]);
    const driver = new ClientDriver(await javaDriver("4.4.0"));
    const join = (): Promise<DriverMember> =>
      driver.member(t, {
        bootstrap: hub.kafkaAddress,
        group: topic,
        topic,
        sessionTimeoutMs: SESSION_TIMEOUT_MS,
      });
    const own = (lines: readonly string[]) =>
      tableOf(lines, "GROUP")
        .filter(({ GROUP }) => GROUP === topic)
        .toSorted((a, b) => Number(a["PARTITION"]) - Number(b["PARTITION"]));
    const members = [await join(), await join()] as const;
    await waitForBalance(members, [0, 1, 2, 3], DEADLINE_MS);
    const committed = { "CURRENT-OFFSET": "2", "LOG-END-OFFSET": "2", LAG: "0" };
    const admin = await openAdmin(t, hub.kafkaAddress);
    await waitUntil(
      async () => {
        const offsets = await committedOffsets(admin, { group: topic, topic });
        return [2, 1, 1].every((end, partition) => offsets.get(partition) === end);
      },
      { what: "the members to commit all there is", deadlineMs: DEADLINE_MS },
    );

    const rows = own(await run(t, "consumer-groups", "--describe --all-groups"));
    assert.equal(rows.length, 4);
    assert.equal(new Set(rows.map((row) => row["CONSUMER-ID"])).size, 2);
    assert.ok(rows.every((row) => row["HOST"] === "/127.0.0.1" && row["CLIENT-ID"]?.startsWith("consumer-") === true));
    const { GROUP, TOPIC, PARTITION, LAG, "CURRENT-OFFSET": at, "LOG-END-OFFSET": end } = rows[0] ?? {};
    assert.deepEqual([GROUP, TOPIC, PARTITION, at, end, LAG], [topic, topic, "0", ...Object.values(committed)]);
    assert.deepEqual(
      [rows[3]?.["CURRENT-OFFSET"], rows[3]?.["LAG"]],
      ["-", "-"],
      "nothing is committed where nothing is",
    );
    const busy = await tools.run(t, "consumer-groups", ["--delete", "--group", topic]);
    assert.match(busy.text, /GroupNotEmptyException/);

    await members[1].child.kill9();
    const heir = await join();
    const warning = new RegExp(`^Warning: Consumer group '${topic}' is rebalancing\\.$`, "m");
    const rebalancing = await waitUntil(
      async () => {
        const output = await describeGroup(t, topic, "--state");
        return / PreparingRebalance +3$/m.test(output.text) && output.text;
      },
      { what: "the group to wait for the dead member", deadlineMs: SESSION_TIMEOUT_MS },
    );
    assert.match(rebalancing, warning);
    const meanwhile = await describeGroup(t, topic);
    assert.match(meanwhile.text, warning);
    assert.equal(own(meanwhile.lines).find((row) => row["PARTITION"] === "0")?.["CURRENT-OFFSET"], "2");
    assert.equal(own(meanwhile.lines).filter((row) => row["CONSUMER-ID"] !== "-").length, 4, "who holds what is shown");

    await waitForBalance([members[0], heir], [0, 1, 2, 3], DEADLINE_MS);
    const assignments = tableOf((await describeGroup(t, topic, "--members", "--verbose")).lines, "GROUP");
    for (const { assigned } of [members[0], heir]) {
      const expected = `${topic}:${assigned.join(",")}`;
      assert.ok(
        assignments.some((row) => row["CURRENT-ASSIGNMENT"] === expected),
        expected,
      );
    }
    for (const member of [members[0], heir]) await member.leave(DEADLINE_MS);
  });

  for (const protocol of ["classic", "consumer"]) {
    test(`verifiable producer and verifiable consumer (${protocol}): all of 10,000`, async (t) => {
      const topic = `verified-${protocol}`;
      await seed(t, topic, [[], [], []]);
      const events = async (tool: Tool, line: string): Promise<readonly ToolEvent[]> =>
        (await run(t, tool, line)).map((each) => JSON.parse(each) as ToolEvent);
      const produced = await events("verifiable-producer", `--topic ${topic} --max-messages 10000 --acks -1`);
      const { name, sent, acked } = produced.at(-1) ?? {};
      assert.deepEqual([name, sent, acked], ["tool_data", 10_000, 10_000]);
      assert.equal(produced.filter((event) => event.name === "producer_send_success").length, 10_000);
      const group = `--group-id ${topic} --group-protocol ${protocol} --reset-policy earliest`;
      const consumed = await events("verifiable-consumer", `--topic ${topic} ${group} --max-messages 10000`);
      const counts = consumed.filter((event) => event.name === "records_consumed").map(({ count = 0 }) => count);
      assert.equal(
        counts.reduce((sum, count) => sum + count, 0),
        10_000,
      );
      const commits = consumed.filter((event) => event.name === "offsets_committed");
      assert.ok(commits.length > 0 && commits.every(({ success }) => success === true));
    });
  }

  test("producer-perf-test, consumer-perf-test and e2e-latency run through, and nothing is missing", async (t) => {
    await seed(t, "perf", [[], [], []]);
    await seed(t, "latency", [[]]);
    const sent = await run(
      t,
      "producer-perf-test",
      "--topic perf --num-records 200000 --record-size 100 --throughput -1",
    );
    const [, count, perSecond] = /^(\d+) records sent, ([\d.]+) records\/sec/.exec(sent.at(-1) ?? "") ?? [];
    assert.equal(count, "200000");
    assert.ok(Number(perSecond) > 1000, `${perSecond} records a second`);
    const read = await run(t, "consumer-perf-test", "--topic perf --num-records 200000");
    const headings = read.at(-2)?.split(", ") ?? [];
    const values = read.at(-1)?.split(", ") ?? [];
    const result = Object.fromEntries(headings.map((heading, i) => [heading, values[i]]));
    assert.deepEqual([result["data.consumed.in.nMsg"], result["data.consumed.in.MB"]], ["200000", "19.0735"]);
    const latency = await run(
      t,
      "e2e-latency",
      "--topic latency --num-records 100 --producer-acks 1 --record-size 100",
    );
    const average = /^Avg latency: ([\d.]+) ms$/.exec(latency.find((line) => line.startsWith("Avg")) ?? "")?.[1];
    assert.ok(Number(average) > 0 && Number(average) < 1000, `${average} ms`);
  });

  test("get-offsets by every kind of time; delete-records moves the earliest", async (t) => {
    await seed(t, "timed", [[0, 5, 2], [0], []]);
    const at = (time: number | string) => run(t, "get-offsets", `--topic timed --time ${time}`);
    assert.deepEqual(await at(-1), ["timed:0:3", "timed:1:1", "timed:2:0"]);
    assert.deepEqual(await at(-2), ["timed:0:0", "timed:1:0", "timed:2:0"]);
    assert.deepEqual(await at(-3), ["timed:0:1", "timed:1:0"], "the latest, where there is any");
    assert.deepEqual(await at(START_MS + 1), ["timed:0:1"], "the first record that is as late");

    const file = path.join(tempDir(t), "before.json");
    const deleteBefore = (offset: number): Promise<readonly string[]> => {
      writeFileSync(file, JSON.stringify({ version: 1, partitions: [{ topic: "timed", partition: 0, offset }] }));
      return run(t, "delete-records", `--offset-json-file ${file}`);
    };
    assert.equal((await deleteBefore(2)).at(-1), "partition: timed-0\tlow_watermark: 2");
    assert.deepEqual(await at("earliest"), ["timed:0:2", "timed:1:0", "timed:2:0"]);
    assert.match((await deleteBefore(4)).at(-1) ?? "", /^partition: timed-0\terror: [\w.]*OffsetOutOfRangeException/);
  });

  test("log-dirs tells the size of each partition", async (t) => {
    await seed(t, "sized", [[0, 1, 2], []]);
    const lines = await run(t, "log-dirs", "--describe --topic-list sized");
    const json = JSON.parse(lines.find((line) => line.startsWith("{")) ?? "") as LogDirsOutput;
    const [broker] = json.brokers;
    assert.deepEqual([json.brokers.length, broker?.broker, broker?.logDirs.length], [1, 1, 1]);
    assert.equal(broker?.logDirs[0]?.error, null);
    const sizes = new Map(broker?.logDirs[0]?.partitions.map(({ partition, size }) => [partition, size]));
    assert.deepEqual([...sizes.keys()].toSorted(), ["sized-0", "sized-1"]);
    assert.ok((sizes.get("sized-0") ?? 0) > 0);
    assert.equal(sizes.get("sized-1"), 0);
  });

  test("broker-api-versions understands everything that the hub offers", async (t) => {
    const lines = await run(t, "broker-api-versions", "");
    assert.match(lines[0] ?? "", /^127\.0\.0\.1:\d+ \(id: 1 rack: null isFenced: false\) -> \($/);
    for (const { api } of handlers.values()) {
      const range = api.advertisedFrom === api.last ? `${api.last}` : `${api.advertisedFrom} to ${api.last}`;
      assert.ok(
        lines.some((line) => line.startsWith(`\t${api.name}(${api.key}): ${range} [usable: `)),
        `${api.name} ${range}: ${lines.join("\n")}`,
      );
    }
  });

  test("acls of a hub without users: security features are disabled", async (t) => {
    assert.match(await fail(t, "acls", "--list"), /SecurityDisabledException/);
  });

  test("transactions: there are none; the producers of a partition are shown", async (t) => {
    await seed(t, "written", [[]]);
    const startMs = Date.now();
    await run(t, "console-producer", "--topic written", { input: "a\nb\n" });
    const list = await run(t, "transactions", "list");
    assert.deepEqual(
      list.map((line) => line.trim().split(/\s+/)),
      [["TransactionalId", "Coordinator", "ProducerId", "TransactionState"]],
    );
    const [producer, ...others] = tableOf(
      await run(t, "transactions", "describe-producers --topic written --partition 0"),
      "ProducerId",
    );
    assert.deepEqual(others, []);
    assert.deepEqual([producer?.["ProducerEpoch"], producer?.["LatestCoordinatorEpoch"]], ["0", "-1"]);
    assert.equal(producer?.["CurrentTransactionStartOffset"], "None");
    assert.ok(Number(producer?.["LastTimestamp"]) >= startMs, `it wrote at ${producer?.["LastTimestamp"]}`);
  });

  test("groups, reassign-partitions: what there is", async (t) => {
    await seed(t, "listed", [[0]]);
    await run(t, "console-consumer", "--topic listed --group classic-reader --from-beginning --max-messages 1");
    const next = "--consumer-property group.protocol=consumer";
    await run(t, "console-consumer", `--topic listed --group next-reader ${next} --from-beginning --max-messages 1`);
    const groups = tableOf(await run(t, "groups", "--list"), "GROUP");
    const own = groups.filter(({ GROUP }) => GROUP?.endsWith("-reader")).map(Object.values);
    assert.deepEqual(
      own.toSorted((a, b) => String(a[0]).localeCompare(String(b[0]))),
      [
        ["classic-reader", "Classic", "consumer"],
        ["next-reader", "Consumer", "consumer"],
      ],
    );
    assert.deepEqual(await run(t, "reassign-partitions", "--list"), ["No partition reassignments found."]);
  });

  test("the client compatibility test of Kafka's own builds", async (t) => {
    await seed(t, "compatibility", [[]]);
    const supported = ["offsets-for-times", "cluster-id", "create-topics", "describe-configs", "idempotent-producer"];
    const expected = [
      ...supported.map((what) => `--${what}-supported true`),
      // It is content with "disabled".
      "--describe-acls-supported true",
      "--expect-record-too-large-exception false",
      "--num-cluster-nodes 1",
    ];
    const lines = await run(t, "client-compatibility-test", `--topic compatibility ${expected.join(" ")}`);
    assert.equal(lines.at(-1), "SUCCESS.");
  });
});

const wordsOf = (line: string): readonly string[] => line.split(" ").filter((word) => word !== "");

/** A line of a verifiable producer or consumer. */
type ToolEvent = {
  readonly name: string;
  readonly sent?: number;
  readonly acked?: number;
  readonly count?: number;
  readonly success?: boolean;
};

type LogDirsOutput = {
  readonly brokers: readonly {
    readonly broker: number;
    readonly logDirs: readonly {
      readonly error: string | null;
      readonly partitions: readonly { readonly partition: string; readonly size: number }[];
    }[];
  }[];
};
