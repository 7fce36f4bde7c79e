/**
 * What MQTT clients send, cut at every byte and damaged in every way, sent to an agent that serves others meanwhile.
 * MUTATIONS and SEED come from the environment.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import mqttPacket from "mqtt-packet";
import type { Packet } from "mqtt-packet";
import { seededRandom } from "../../bin/demo/random.ts";
import { Attacker, attackWith, mutations, truncations } from "../support/attack.ts";
import { HubProgram, startAgent } from "../support/programs.ts";
import type { AgentProgram } from "../support/programs.ts";
import { connectPacket, connectRaw } from "../support/raw-mqtt.ts";
import type { RawMqtt } from "../support/raw-mqtt.ts";
import { rssBytes } from "../support/rss.ts";
import { quickUplink } from "../support/test-routes.ts";

const MUTATIONS = Number(process.env["MUTATIONS"] ?? 5000);
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** Attackers at work at a time. */
const ATTACKERS = 8;
/** What a message of the witness may take beside the attack, on two busy cores. */
const WITNESS_MS_MAX = 5000;
/** From the first half of the attack to the second: caches fill, no more. */
const RSS_GROWTH_BYTES_MAX = 64 * 1024 * 1024;
/** A heap that has to collect its garbage, so that what grows is a leak. */
const SMALL_HEAP = { NODE_OPTIONS: "--max-old-space-size=96 --max-semi-space-size=2" };
const routes = [
  { match: "witness/#", topic: "witness" },
  { match: "#", topic: "other", overflow: "drop-oldest" },
];

const will = { topic: "w/t", payload: Buffer.from("gone"), qos: 1, retain: true } as const;
const publish = { cmd: "publish", topic: "a/b", payload: "21.5", dup: false, retain: false, length: 0 } as const;

/** Sessions that begin with CONNECT. */
const sessions: readonly (readonly Packet[])[] = [
  [connectPacket("c1", { will })],
  [connectPacket("c2", { clean: false, username: "user", password: Buffer.from("secret") }), { cmd: "pingreq" }],
  [connectPacket("c3"), { ...publish, qos: 0 }, { ...publish, qos: 1, messageId: 1 }, { cmd: "disconnect" }],
  [connectPacket("c4"), { ...publish, qos: 2, messageId: 2, retain: true }, { cmd: "pubrel", messageId: 2 }],
  [
    connectPacket("c5", { clean: false }),
    { cmd: "subscribe", messageId: 3, subscriptions: [{ topic: "a/+", qos: 2 }] },
    { ...publish, qos: 1, messageId: 4 },
    { cmd: "puback", messageId: 1 },
    { cmd: "pubrec", messageId: 1 },
    { cmd: "pubcomp", messageId: 1 },
    { cmd: "unsubscribe", messageId: 5, unsubscriptions: ["a/+"] },
  ],
];

function corpusOf(all: readonly (readonly Packet[])[]): readonly Buffer[] {
  return all.map((packets) => Buffer.concat(packets.map((packet) => mqttPacket.generate(packet))));
}

/** A client that publishes one message after the other, and how long it had to wait at the most. */
class Witness {
  readonly #raw: RawMqtt;
  acked = 0;
  slowestMs = 0;
  #isDone = false;
  #running: Promise<void> = Promise.resolve();

  constructor(raw: RawMqtt) {
    this.#raw = raw;
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
      const messageId = (this.acked % 65_535) + 1;
      this.#raw.send({ ...publish, topic: "witness/x", payload: String(this.acked), qos: 1, messageId });
      const answer = await this.#raw.next();
      assert.deepEqual([answer?.cmd, answer?.messageId], ["puback", messageId]);
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startMs);
      this.acked++;
    }
  }
}

async function acceptedOf(agent: AgentProgram, topic: string): Promise<number> {
  const { topics } = (await agent.status()).log;
  return (topics.find((each) => each.topic === topic)?.balances ?? []).reduce((sum, { accepted }) => sum + accepted, 0);
}

suite("MQTT fuzz", () => {
  test(`every cut of MQTT sessions and ${MUTATIONS} damaged ones, seed ${SEED}: others are served, memory stays flat`, async (t) => {
    t.diagnostic(`MUTATIONS=${MUTATIONS} SEED=${SEED}`);
    const random = seededRandom(SEED);
    const corpus = corpusOf(sessions);
    const hub = await HubProgram.prepare(t);
    const agent = await startAgent(t, { hub, config: { routes, uplink: quickUplink }, env: SMALL_HEAP });
    const { pid } = agent.process;
    const witness = new Witness(await connectRaw(t, agent.mqttPort, "witness"));
    witness.start();
    const attackers = Array.from({ length: ATTACKERS }, () => new Attacker(t, agent.mqttPort, { isReusing: false }));

    const dead = agent.process.exited.then(() => assert.fail(`the agent died: ${agent.process.describe()}`));
    const attack = (all: Iterable<Buffer>): Promise<void> => Promise.race([attackWith(all, attackers), dead]);
    await attack(truncations(corpus));
    await attack(mutations(corpus, MUTATIONS / 2, random));
    const rssBefore = rssBytes(pid);
    await attack(mutations(corpus, MUTATIONS / 2, random));
    const growth = rssBytes(pid) - rssBefore;
    await witness.stop();

    const sent = attackers.reduce((sum, each) => sum + each.sent, 0);
    const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
    t.diagnostic(
      `${sent} sessions of ${corpus.length}; witness: ${witness.acked} acknowledged, slowest ` +
        `${Math.round(witness.slowestMs)} ms; rss ${mib(rssBefore)}, then ${mib(growth)} more`,
    );
    assert.ok(growth < RSS_GROWTH_BYTES_MAX, `memory grew by ${mib(growth)} in the second half`);
    assert.ok(witness.slowestMs < WITNESS_MS_MAX, `a message of somebody else took ${witness.slowestMs} ms`);
    assert.ok(witness.acked > 100);
    assert.equal(await acceptedOf(agent, "witness"), witness.acked, "nothing of his is missing");
    assert.equal(agent.process.pid, pid);
    dead.catch(() => undefined);
    await agent.term();
  });
});
