/**
 * What is wrong gets a clear error and disturbs nobody else (G7, G8). A bystander publishes and another one consumes the
 * whole time, through the same listeners.
 */
import assert from "node:assert/strict";
import { connect } from "node:net";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { encodeRecords } from "../../shared/batch/records.ts";
import { errorTable } from "../../shared/errors.ts";
import { produceApi } from "../../hub/kafka/schemas/records.ts";
import { startFleet } from "../support/fleet.ts";
import type { Fleet } from "../support/fleet.ts";
import { startGroupReader } from "../support/group-reader.ts";
import type { GroupReader } from "../support/group-reader.ts";
import { readResponse, requestFrame } from "../support/kafka-hub.ts";
import { startAgent, startHub, startTributary, writeConfig } from "../support/programs.ts";
import type { AgentProgram, HubProgram } from "../support/programs.ts";
import { RawKafkaClient } from "../support/raw-kafka-client.ts";
import { connectRaw } from "../support/raw-mqtt.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { openAdmin, waitForRecords } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";

/** Of each single step; several programs start at once on the machine's few cores. */
const DEADLINE_MS = 20_000;
const TOKEN = "the right token";
const PRODUCE_VERSION = 9;
const BYSTANDERS = 4;
const { topic } = eventsRoute;

type World = {
  readonly hub: HubProgram;
  readonly agent: AgentProgram;
  readonly publishers: Fleet;
  readonly reader: GroupReader;
};

async function startWorld(t: TestContext): Promise<World> {
  const uplink = { ...quickUplink, token: TOKEN };
  const hub = await startHub(t, { config: { uplink: { token: TOKEN }, topics: { autoCreate: false } } });
  const agent = await startAgent(t, { hub, config: { routes: [eventsRoute], uplink } });
  const load = { clients: BYSTANDERS, qos: 1, messagesEach: Infinity, windowMax: 10, perSecond: 200 } as const;
  const publishers = startFleet(t, { ...load, port: agent.mqttPort, name: "bystander" });
  await waitForRecords(await openAdmin(t, hub.kafkaAddress), { topic, count: 1, deadlineMs: DEADLINE_MS });
  const reader = await startGroupReader(t, { address: hub.kafkaAddress, group: "bystanders", topic });
  return { hub, agent, publishers, reader };
}

/** A message that is sent from now on arrives, and no bystander lost its connection. */
async function assertUndisturbed({ publishers, reader }: World): Promise<void> {
  const sentBefore = publishers.histories.map(({ client, sentCount }) => [client, sentCount] as const);
  await waitUntil(
    () =>
      sentBefore.every(([name, sent]) =>
        reader.records.some(({ client, sequence }) => client === name && sequence >= sent),
      ),
    { what: "new messages of every bystander at their group", deadlineMs: DEADLINE_MS },
  );
  assert.equal(publishers.resentCount, 0, "no bystander had to send anything again");
  assert.equal(publishers.connectionCount, BYSTANDERS, "no bystander had to connect again");
}

/** A JSON log line of the program that contains all of `words`. */
async function waitForLogLine(program: AgentProgram | HubProgram, ...words: readonly string[]): Promise<void> {
  await waitUntil(
    () => program.process.stderrTail.split("\n").some((line) => words.every((word) => line.includes(word))),
    {
      what: `a log line with ${words.join(" and ")}`,
      deadlineMs: DEADLINE_MS,
      describe: () => program.process.stderrTail.slice(-2000),
    },
  );
}

/** Runs a command that must end by itself with `code`; returns what it says. */
async function runFailing(t: TestContext, args: readonly string[], code: number): Promise<string> {
  const child = await startTributary(t, args);
  const exit = await child.exitWithin(DEADLINE_MS);
  assert.deepEqual(exit, { code, signal: null }, child.describe());
  assert.doesNotMatch(child.stderrTail, /UNEXPECTED|\n {4}at /, "an error that was expected has no stack trace");
  return child.stderrTail;
}

async function produceRaw(t: TestContext, hub: HubProgram, name: string, batch: Buffer) {
  const client = await RawKafkaClient.connect(t, { host: "127.0.0.1", port: hub.kafkaPort });
  const topicData = [{ name, partitionData: [{ index: 0, records: [batch] }] }];
  const request = { transactionalId: null, acks: -1, timeoutMs: 1000, topicData };
  client.send(requestFrame(produceApi, PRODUCE_VERSION, request));
  const response = readResponse(produceApi, PRODUCE_VERSION, await client.receive());
  return response.responses[0]?.partitionResponses[0];
}

const someBatch = (): Buffer => encodeRecords([{ timestamp: Date.now(), key: null, value: Buffer.from("v") }]);

const freeListeners = {
  hub: ["--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0"],
  agent: ["--mqtt", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
} as const;

suite("bad input", () => {
  test("from clients: each gets its error, and the bystanders notice nothing", async (t) => {
    const world = await startWorld(t);
    const { hub, agent } = world;

    await t.test(
      "an MQTT packet over the limit: closed before it is read, and logged with the limit's name",
      async (s) => {
        const client = await connectRaw(s, agent.mqttPort, "oversized");
        client.send({
          cmd: "publish",
          topic: "sensors/oversized/value",
          payload: Buffer.alloc(300 * 1024),
          qos: 1,
          messageId: 1,
          dup: false,
          retain: false,
        });
        assert.equal(await client.next(), undefined, "closed without an answer, as MQTT 3.1.1 has none");
        await waitForLogLine(agent, "packetBytesMax");
        await assertUndisturbed(world);
      },
    );

    await t.test("bytes that are no MQTT: closed", async (s) => {
      const client = await connectRaw(s, agent.mqttPort, "garbage");
      client.socket.write(Buffer.from("ffffffffffffffff", "hex"));
      assert.equal(await client.next(), undefined);
      await assertUndisturbed(world);
    });

    await t.test("a Kafka batch with a wrong CRC: refused, nothing stored", async (s) => {
      const batch = someBatch();
      batch[batch.length - 1] = (batch.at(-1) ?? 0) ^ 1;
      const answer = await produceRaw(s, hub, topic, batch);
      assert.equal(answer?.errorCode, errorTable.CORRUPT_RECORD.wire);
      assert.match(answer?.errorMessage ?? "", /CRC/);
      await assertUndisturbed(world);
    });

    await t.test(
      "a topic that does not exist, where topics are not made on demand: UNKNOWN_TOPIC_OR_PARTITION",
      async (s) => {
        const answer = await produceRaw(s, hub, "nowhere", someBatch());
        assert.equal(answer?.errorCode, errorTable.UNKNOWN_TOPIC_OR_PARTITION.wire);
        const told = await runFailing(s, ["consume", "nowhere", "--kafka", hub.kafkaAddress], 1);
        assert.match(told, /UNKNOWN_TOPIC_OR_PARTITION[^]*nowhere[^]*hint:/);
        await assertUndisturbed(world);
      },
    );

    await t.test("HTTP and TLS at the Kafka port: closed", async () => {
      for (const greeting of ["GET / HTTP/1.1\r\nhost: hub\r\n\r\n", Buffer.from("1603010200010001fc0303", "hex")]) {
        const socket = connect(hub.kafkaPort, "127.0.0.1", () => socket.write(greeting));
        socket.on("error", () => undefined);
        await new Promise<void>((resolve) => socket.resume().once("close", () => resolve()));
      }
      await assertUndisturbed(world);
    });

    await t.test("an agent with a wrong uplink token: UNAUTHORIZED at both ends, and its records wait", async (s) => {
      const stranger = await startAgent(s, {
        hub,
        config: { routes: [eventsRoute], uplink: { ...quickUplink, token: "a wrong token" } },
      });
      const one = {
        port: stranger.mqttPort,
        name: "stranger",
        clients: 1,
        qos: 1,
        messagesEach: 1,
        windowMax: 1,
      } as const;
      await startFleet(s, one).finish(DEADLINE_MS);
      await waitUntil(async () => JSON.stringify((await stranger.status()).uplink).includes("UNAUTHORIZED"), {
        what: "UNAUTHORIZED in the agent's status",
        deadlineMs: DEADLINE_MS,
      });
      await waitForLogLine(stranger, "UNAUTHORIZED");
      await waitForLogLine(hub, "UNAUTHORIZED");
      assert.equal((await stranger.status()).log.pendingRecords, 1);
      assert.doesNotMatch(
        stranger.process.stderrTail + hub.process.stderrTail,
        /a wrong token/,
        "secrets are not logged",
      );
      await assertUndisturbed(world);
      assert.equal(world.reader.records.filter(({ client }) => client === "stranger0").length, 0);
      await stranger.term();
      await stranger.start({ TRIBUTARY_UPLINK_TOKEN: TOKEN });
      await waitUntil(() => world.reader.records.some(({ client }) => client === "stranger0"), {
        what: "the record, once the token is right",
        deadlineMs: DEADLINE_MS,
      });
    });
  });

  test("a configuration with three mistakes: all three are told, exit code 78", async (t) => {
    const file = writeConfig(
      t,
      [
        "mqtt:",
        "  listen: 127.0.0.1:70000",
        "log:",
        "  commitIntervallMs: 5",
        "routes:",
        "  - match: sensors/{device}/temp",
        "    topic: readings",
        "    key: '{devise}'",
        "",
      ].join("\n"),
    );
    for (const args of [
      ["agent", "--data", tempDir(t), "--config", file],
      ["check", "agent", "--config", file],
    ]) {
      const told = await runFailing(t, args, 78);
      assert.match(told, /CONFIG_INVALID: 3 mistakes/);
      assert.match(told, /mqtt\.listen found "127\.0\.0\.1:70000"/);
      assert.match(told, /log\.commitIntervallMs [^\n]*did you mean log\.commitIntervalMs/);
      assert.match(told, /routes\[0\]\.key [^\n]*devise/);
    }
  });

  test("a port or a data directory that is taken: told with its name, exit code 69; who has it goes on", async (t) => {
    const hub = await startHub(t);
    const agent = await startAgent(t, { hub });
    const adminPort = Number(new URL(agent.adminUrl).port);
    const portRows = [
      { program: "hub", flag: "--http", port: hub.httpPort },
      { program: "hub", flag: "--kafka", port: hub.kafkaPort },
      { program: "agent", flag: "--mqtt", port: agent.mqttPort },
      { program: "agent", flag: "--admin", port: adminPort },
    ] as const;
    const portChecks = portRows.map(async ({ program, flag, port }) => {
      const args = [program, "--data", tempDir(t), ...freeListeners[program], flag, `127.0.0.1:${port}`];
      assert.match(await runFailing(t, args, 69), new RegExp(`PORT_IN_USE[^\\n]*127\\.0\\.0\\.1:${port}`));
    });
    const dataRows = [
      { program: "hub", data: hub.data },
      { program: "agent", data: agent.data },
    ] as const;
    const dataChecks = dataRows.map(async ({ program, data }) => {
      const told = await runFailing(t, [program, "--data", data, ...freeListeners[program]], 69);
      assert.ok(told.includes("LOG_LOCKED") && told.includes(data), told);
    });
    await Promise.all([...portChecks, ...dataChecks]);
    await agent.term();
    await hub.term();
  });

  test("a data directory that cannot be made: told with its name, exit code 69", async (t) => {
    const file = writeConfig(t, "");
    // Below /proc nothing can be made, not even by root.
    const places = [file, path.join(file, "below"), "/proc/tributary/data"];
    for (const data of places) {
      for (const program of ["hub", "agent"] as const) {
        const told = await runFailing(t, [program, "--data", data, ...freeListeners[program]], 69);
        assert.ok(told.includes(`LOG_DIRECTORY: ${data} cannot be the data directory`), told);
      }
    }
  });

  test("a listener on every address without authentication: refused, exit code 78, unless it is declared insecure", async (t) => {
    const rows = [
      { program: "hub", flag: "--http", variable: "TRIBUTARY_HTTP_INSECURE" },
      { program: "hub", flag: "--kafka", variable: "TRIBUTARY_KAFKA_INSECURE" },
      { program: "agent", flag: "--mqtt", variable: "TRIBUTARY_MQTT_INSECURE" },
      { program: "agent", flag: "--admin", variable: "TRIBUTARY_ADMIN_INSECURE" },
    ] as const;
    const checks = rows.map(async ({ program, flag, variable }) => {
      const args = [program, "--data", tempDir(t), ...freeListeners[program], flag, "0.0.0.0:0"];
      assert.match(await runFailing(t, args, 78), /LISTENER_NOT_PROTECTED[^]*insecure: true/);
      const lines: string[] = [];
      const child = await startTributary(t, args, { [variable]: "true" }, (line) => lines.push(line));
      const what = `${program} with ${variable}`;
      await waitUntil(() => lines[0], { what, deadlineMs: DEADLINE_MS, describe: () => child.describe() });
      child.signal("SIGTERM");
      assert.equal((await child.exitWithin(DEADLINE_MS)).code, 0);
    });
    await Promise.all(checks);
  });
});
