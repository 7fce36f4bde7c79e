/**
 * Requests of real clients, cut at every byte and damaged in every way, sent to a hub that serves others meanwhile.
 * MUTATIONS and SEED come from the environment.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { suite, test } from "node:test";
import type { Producer } from "kafkajs";
import { seededRandom } from "../../bin/demo/random.ts";
import { Attacker, attackWith, mutations, truncations } from "../support/attack.ts";
import { onCleanUp } from "../support/clean-up.ts";
import type { After } from "../support/clean-up.ts";
import { ClientDriver } from "../support/client-driver.ts";
import { freePort } from "../support/free-port.ts";
import { startHub } from "../support/programs.ts";
import { startRecordingProxy } from "../support/recording-proxy.ts";
import { rssBytes } from "../support/rss.ts";
import { kafkaJs, openAdmin, recordCount } from "../support/topic-ends.ts";

const MUTATIONS = Number(process.env["MUTATIONS"] ?? 12_000);
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));

const DRIVERS = ["node/kafkajs.ts", "node/platformatic.ts"].map((file) =>
  fileURLToPath(new URL(`../interop/clients/${file}`, import.meta.url)),
);
const TOPIC = "witness";
/** Attackers at work at a time. */
const ATTACKERS = 8;
/** What a produce of the witness may take beside the attack, on two busy cores. */
const WITNESS_MS_MAX = 5000;
/** From the first half of the attack to the second: the caches of the hub and of SQLite fill, no more. */
const RSS_GROWTH_BYTES_MAX = 64 * 1024 * 1024;

/** A heap that has to collect its garbage, so that what grows is a leak. */
const SMALL_HEAP = { NODE_OPTIONS: "--max-old-space-size=96 --max-semi-space-size=2" };

/** State that mutated requests may create has its maximum before the measurement begins. */
const HUB_CONFIG = {
  topics: { countMax: 60, partitions: 1 },
  groups: { countMax: 60, sessionTimeoutMinMs: 500, initialRebalanceDelayMs: 0 },
};

/** What real clients send: their administration, production and consumption. */
async function recordRequests(t: After): Promise<readonly Buffer[]> {
  const proxyPort = await freePort();
  const config = { ...HUB_CONFIG, kafka: { advertised: `127.0.0.1:${proxyPort}` } };
  const hub = await startHub(t, { config });
  const { frames } = await startRecordingProxy(t, { port: proxyPort, targetPort: hub.kafkaPort });
  const connection = { bootstrap: `127.0.0.1:${proxyPort}` };
  const admin = await openAdmin(t, connection.bootstrap);
  await admin.createTopics({ topics: [{ topic: "recorded", numPartitions: 2 }], waitForLeaders: false });
  for (const [index, file] of DRIVERS.entries()) {
    const driver = new ClientDriver({ command: process.execPath, args: ["--no-warnings", file] });
    await driver.admin(t, { ...connection, topic: `admin-${index}`, group: `group-${index}` });
    const records = { topic: "recorded", count: 5, prefix: "r", acks: -1, idempotent: true } as const;
    await driver.produce(t, { ...connection, ...records, codec: "gzip" });
    await driver.consume(t, { ...connection, topic: "recorded", count: 5 });
    await driver.seekTimestamp(t, { ...connection, topic: "recorded", timestamp: 1 });
  }
  await hub.term();
  return [...frames.values()];
}

/** A client that goes about its business, and how long it had to wait at the most. */
class Witness {
  readonly #producer: Producer;
  produced = 0;
  slowestMs = 0;
  #isDone = false;
  #running: Promise<void> = Promise.resolve();

  constructor(producer: Producer) {
    this.#producer = producer;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isDone = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isDone) {
      const startMs = performance.now();
      await this.#producer.send({ topic: TOPIC, messages: [{ value: String(this.produced) }] });
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startMs);
      this.produced++;
    }
  }
}

/** Each with its right length. */
function* framedEach(bodies: Iterable<Buffer>): Generator<Buffer> {
  for (const body of bodies) {
    const length = Buffer.alloc(4);
    length.writeInt32BE(body.length);
    yield Buffer.concat([length, body]);
  }
}

suite("fuzz", () => {
  test(`every cut of real requests and ${MUTATIONS} damaged ones, seed ${SEED}: others are served, memory stays flat`, async (t) => {
    t.diagnostic(`MUTATIONS=${MUTATIONS} SEED=${SEED}`);
    const random = seededRandom(SEED);
    const corpus = await recordRequests(t);
    const apis = new Set(corpus.map((body) => body.readInt16BE(0)));
    assert.ok(apis.size >= 20, `recorded requests are of ${apis.size} APIs`);

    const hub = await startHub(t, { config: HUB_CONFIG, env: SMALL_HEAP });
    const pid = hub.process.pid;
    const admin = await openAdmin(t, hub.kafkaAddress);
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 1 }], waitForLeaders: false });
    const producer = kafkaJs(hub.kafkaAddress).producer({ allowAutoTopicCreation: false });
    onCleanUp(t, () => producer.disconnect());
    await producer.connect();
    const witness = new Witness(producer);
    witness.start();
    const attackers = Array.from({ length: ATTACKERS }, () => new Attacker(t, hub.kafkaPort, { isReusing: true }));

    const dead = hub.process.exited.then(() => assert.fail(`the hub died: ${hub.process.describe()}`));
    const attack = (bodies: Iterable<Buffer>): Promise<void> =>
      Promise.race([attackWith(framedEach(bodies), attackers), dead]);
    await attack(truncations(corpus));
    await attack(mutations(corpus, MUTATIONS / 2, random));
    const rssBefore = rssBytes(hub.process.pid);
    await attack(mutations(corpus, MUTATIONS / 2, random));
    const growth = rssBytes(hub.process.pid) - rssBefore;
    assert.equal(hub.process.pid, pid);
    await witness.stop();

    const sent = attackers.reduce((sum, each) => sum + each.sent, 0);
    const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
    t.diagnostic(
      `${sent} requests of ${corpus.length} recorded ones (${apis.size} APIs); witness: ${witness.produced} produced, ` +
        `slowest ${Math.round(witness.slowestMs)} ms; rss ${mib(rssBefore)}, then ${growth < 0 ? "-" : "+"}${mib(Math.abs(growth))}`,
    );
    assert.ok(growth < RSS_GROWTH_BYTES_MAX, `memory grew by ${mib(growth)} in the second half`);
    assert.ok(
      witness.slowestMs < WITNESS_MS_MAX,
      `a produce of somebody else took ${Math.round(witness.slowestMs)} ms`,
    );
    assert.equal(await recordCount(admin, TOPIC), witness.produced, "and nothing of his is missing");
    dead.catch(() => undefined);
    await hub.term();
  });
});
