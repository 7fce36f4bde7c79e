/** Every flush of the hub's disk takes half a second: who waits for one waits, everybody else is served as ever. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { apiVersionsApi } from "../../hub/kafka/schemas/cluster.ts";
import { readResponse, requestFrame } from "../support/kafka-hub.ts";
import { HubProgram } from "../support/programs.ts";
import { RawKafkaClient } from "../support/raw-kafka-client.ts";
import { tempDir } from "../support/temp-dir.ts";
import { kafkaJs, openAdmin, recordCount } from "../support/topic-ends.ts";
import { DiskFaults } from "./power/faults.ts";
import { recordedBy } from "./power/native.ts";

const FLUSH_MS = 500;
const PRODUCERS = 8;
const RECORDS_EACH = 4;
const TOPIC = "slow";

test("flushes that take half a second: acks=all comes late, other requests do not wait, nothing is lost", async (t) => {
  const outside = tempDir(t);
  const data = path.join(tempDir(t), "hub");
  mkdirSync(data);
  const faults = new DiskFaults(path.join(outside, "control"));
  const env = recordedBy(path.join(outside, "journal"), data, faults.file);
  const hub = await HubProgram.prepare(t, { data, env });
  await hub.start();
  const admin = await openAdmin(t, hub.kafkaAddress);
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 4 }] });
  const asking = await RawKafkaClient.connect(t, { host: "127.0.0.1", port: hub.kafkaPort });
  faults.slowFlushes(FLUSH_MS);

  const slowestMs: number[] = [];
  const produce = async (): Promise<void> => {
    const producer = kafkaJs(hub.kafkaAddress).producer();
    await producer.connect();
    for (let sent = 0; sent < RECORDS_EACH; sent++) {
      const startMs = performance.now();
      await producer.send({ topic: TOPIC, acks: -1, messages: [{ value: "x".repeat(1000) }] });
      slowestMs.push(performance.now() - startMs);
    }
    await producer.disconnect();
  };
  let isDone = false;
  const producing = Promise.all(Array.from({ length: PRODUCERS }, produce)).finally(() => (isDone = true));
  let asked = 0;
  for (; !isDone; asked++) {
    const startMs = performance.now();
    asking.send(requestFrame(apiVersionsApi, 0, { clientSoftwareName: "", clientSoftwareVersion: "" }));
    const { errorCode } = readResponse(apiVersionsApi, 0, await asking.receive());
    assert.equal(errorCode, 0);
    assert.ok(performance.now() - startMs < FLUSH_MS, "the hub does not wait for the disk");
    await new Promise((resolve) => setImmediate(resolve));
  }
  await producing;
  assert.ok(Math.max(...slowestMs) >= FLUSH_MS, "a flush was waited for");
  assert.ok(asked > 20, `${asked} requests meanwhile`);
  faults.heal();
  assert.equal(await recordCount(admin, TOPIC), PRODUCERS * RECORDS_EACH);
});
