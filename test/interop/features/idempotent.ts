/** A connection cut at every point of a Produce request and of its answer: everything arrives, once, in order. */
import assert from "node:assert/strict";
import { CuttingProxy } from "../../support/cutting-proxy.ts";
import { freePort } from "../../support/free-port.ts";
import { readValues } from "../../support/kcat.ts";
import { startHub } from "../../support/programs.ts";
import { openAdmin } from "../../support/topic-ends.ts";
import { storedBatches } from "../../support/stored-batches.ts";
import { numberOf, upTo } from "./feature.ts";
import type { Feature, Trial } from "./feature.ts";

/** Those that are not cut any more show that the producer goes on. */
const RECORDS = 400;
/** Bytes between two cuts: every one. */
const STRIDE = 1;
const BACKOFF_MS = 20;

async function run({ t, driver, about }: Trial): Promise<string> {
  const proxyPort = await freePort();
  const hub = await startHub(t, { config: { kafka: { advertised: `127.0.0.1:${proxyPort}` } } });
  const limit = about.without["cut-answers"];
  const proxy = await CuttingProxy.start(t, {
    targetPort: hub.kafkaPort,
    port: proxyPort,
    stride: STRIDE,
    cutsAnswers: limit === undefined,
  });
  const admin = await openAdmin(t, `127.0.0.1:${proxyPort}`);
  const topic = "cut";
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: false });
  proxy.begin();
  const delivered = await driver.produce(t, {
    bootstrap: `127.0.0.1:${proxyPort}`,
    topic,
    count: RECORDS,
    prefix: "cut",
    codec: "none",
    acks: -1,
    idempotent: true,
    partition: 0,
    perRequest: 1,
    backoffMs: BACKOFF_MS,
  });
  assert.equal(delivered, RECORDS, `all are acknowledged in the end: ${driver.complaints.slice(-2000)}`);
  assert.ok(
    proxy.isThrough,
    `every point was cut at: ${proxy.requestCuts} in requests, ${proxy.answerCuts} in answers`,
  );
  const stored = await storedBatches(t, { port: hub.kafkaPort, topic, partitions: 1 });
  assert.ok(
    stored.every(({ producerId }) => producerId >= 0n),
    "the producer was idempotent",
  );
  const values = await readValues(t, { address: hub.kafkaAddress, topic });
  assert.deepEqual(values.map(numberOf), upTo(RECORDS), "each once, in order");
  return limit === undefined ? "yes" : `in requests; not in answers (${limit})`;
}

export const idempotentFeature: Feature = {
  key: "idempotent",
  title: "idempotent produce, connection cut at every byte of request and answer",
  run,
};
