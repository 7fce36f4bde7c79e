/** What the hub's uplink does with peers that are no honest agent. */
import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import type { TestContext } from "node:test";
import { WebSocket } from "ws";
import { UNGUESSABLE_LENGTH } from "../../../hub/uplink/upgrade-limiter.ts";
import { stampProducer } from "../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../shared/batch/records.ts";
import { decodeHubFrame, encodeFrame } from "../../../shared/uplink/frame-codec.ts";
import { seal, SEAL_BYTES } from "../../../shared/uplink/frame-seal.ts";
import { UPLINK_STATUS_BYTES_MAX, UPLINK_SUBPROTOCOL } from "../../../shared/uplink/frames.ts";
import type { AgentFrame, Hello, HubFrame, Produce } from "../../../shared/uplink/frames.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import { startUplinkHub } from "../../support/uplink-pair.ts";
import type { TestHub } from "../../support/uplink-pair.ts";

const hello: Hello = {
  t: "hello",
  agent: "raw",
  producer: 77n,
  instance: "one",
  version: "0",
  topics: [{ name: "readings", partitions: 2 }],
};

class RawAgent {
  readonly socket: WebSocket;
  readonly frames: HubFrame[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  #wake: () => void = () => undefined;

  constructor(hub: TestHub) {
    this.socket = new WebSocket(`ws://127.0.0.1:${hub.port}/uplink`, [UPLINK_SUBPROTOCOL]);
    this.socket.on("message", (data: Buffer) => {
      this.frames.push(decodeHubFrame(data));
      this.#wake();
    });
    this.closed = once(this.socket, "close").then(([code, reason]) => ({ code, reason: String(reason) }));
  }

  static async open(t: TestContext, hub: TestHub, first?: AgentFrame): Promise<RawAgent> {
    const agent = new RawAgent(hub);
    onCleanUp(t, () => agent.socket.terminate());
    await once(agent.socket, "open");
    if (first !== undefined) agent.send(first);
    return agent;
  }

  send(...frames: AgentFrame[]): void {
    for (const frame of frames) this.socket.send(encodeFrame(frame));
  }

  async frame<T extends HubFrame["t"]>(t: T, count = 1): Promise<Extract<HubFrame, { t: T }>> {
    for (;;) {
      const found = this.frames.filter((frame) => frame.t === t)[count - 1];
      if (found !== undefined) return found as Extract<HubFrame, { t: T }>;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function produce(id: number, baseSequence: number, rest: Partial<Produce> & { producerEpoch?: number } = {}): Produce {
  const { producerEpoch = 0, ...fields } = rest;
  const batch = encodeRecords([{ timestamp: id, key: null, value: Buffer.from("x") }]);
  stampProducer(batch, { producerId: hello.producer, producerEpoch, baseSequence });
  return { t: "produce", id, topic: "readings", partition: 0, acks: "all", batch, ...fields };
}

async function upgrade(
  hub: TestHub,
  headers: Record<string, string>,
  protocols = [UPLINK_SUBPROTOCOL],
): Promise<number> {
  const socket = new WebSocket(`ws://127.0.0.1:${hub.port}/uplink`, protocols, { headers });
  socket.on("error", () => undefined);
  const [, response] = await Promise.race([
    once(socket, "unexpected-response"),
    once(socket, "open").then(() => [undefined, { statusCode: 101 }]),
  ]);
  socket.terminate();
  return response.statusCode;
}

test("uplink server: every refusal of the upgrade has its status", async (t) => {
  const hub = await startUplinkHub(t, { options: { token: "secret", agentsMax: 0 } });
  const right = { authorization: "Bearer secret" };
  assert.equal(await upgrade(hub, {}), 401);
  assert.equal(await upgrade(hub, { authorization: "Bearer secret2" }), 401);
  assert.equal(await upgrade(hub, { authorization: "Basic secret" }), 401);
  assert.equal(await upgrade(hub, { ...right, origin: "https://example.org" }), 403);
  assert.equal(await upgrade(hub, right, ["tributary.v1"]), 426);
  assert.equal(await upgrade(hub, right), 503);
});

for (const { length, status } of [
  { length: UNGUESSABLE_LENGTH - 1, status: 429 },
  { length: UNGUESSABLE_LENGTH, status: 101 },
]) {
  test(`uplink server: too many wrong tokens from an address -> the right one, of ${length} characters: ${status}`, async (t) => {
    const token = "s".repeat(length);
    const hub = await startUplinkHub(t, { options: { token, loginFailuresPerMinuteMax: 2 }, peerAddress: "192.0.2.7" });
    const guesses = [await upgrade(hub, {}), await upgrade(hub, {}), await upgrade(hub, {})];
    assert.deepEqual(guesses, [401, 401, 429]);
    assert.equal(await upgrade(hub, { authorization: `Bearer ${token}` }), status);
  });
}

test("uplink server: hello -> topics made, welcome with credit, and the agent is known", async (t) => {
  const hub = await startUplinkHub(t, { options: { creditBytes: 12_345 } });
  const agent = await RawAgent.open(t, hub, hello);
  const welcome = await agent.frame("welcome");
  assert.deepEqual(welcome.topics, [{ name: "readings", partitions: 2 }]);
  assert.deepEqual(welcome.positions, []);
  assert.equal(welcome.credit, 12_345);
  const [info] = hub.server.agents();
  assert.equal(info?.agent, "raw");
  assert.equal(info?.producer, "77");
  assert.equal(info?.isConnected, true);
});

test("uplink server: without auto-create a topic that does not exist is left out of the welcome", async (t) => {
  const hub = await startUplinkHub(t, { options: { autoCreateTopics: false } });
  const agent = await RawAgent.open(t, hub, hello);
  assert.deepEqual((await agent.frame("welcome")).topics, []);
  agent.send(produce(1, 0));
  const nack = await agent.frame("nack");
  assert.equal(nack.code, "UNKNOWN_TOPIC_OR_PARTITION");
  assert.equal(nack.retriable, true);
});

test("uplink server: a batch is acknowledged once it is committed, and its position is told to the next connection", async (t) => {
  const hub = await startUplinkHub(t);
  const agent = await RawAgent.open(t, hub, hello);
  await agent.frame("welcome");
  hub.engine.holdCommits();
  agent.send(produce(1, 0), produce(2, 1));
  agent.send({ t: "status", status: { seen: true } });
  while (hub.server.agents()[0]?.status === null) await new Promise(setImmediate);
  assert.equal(
    agent.frames.some(({ t: type }) => type === "ack"),
    false,
  );
  hub.engine.releaseCommits();
  assert.deepEqual(await agent.frame("ack"), { t: "ack", id: 1, baseOffset: 0 });
  assert.deepEqual(await agent.frame("ack", 2), { t: "ack", id: 2, baseOffset: 1 });
  const next = await RawAgent.open(t, hub, hello);
  const { positions } = await next.frame("welcome");
  assert.deepEqual(positions, [{ topic: "readings", partition: 0, epoch: 0, lastSequence: 1, records: 2, lost: 0 }]);
  assert.equal((await agent.closed).code, 1008);
});

test("uplink server: the first batch of a producer must have sequence 0", async (t) => {
  const hub = await startUplinkHub(t);
  const agent = await RawAgent.open(t, hub, hello);
  await agent.frame("welcome");
  agent.send(produce(1, 5), produce(2, 0));
  assert.equal((await agent.frame("nack")).code, "OUT_OF_ORDER_SEQUENCE_NUMBER");
  assert.equal((await agent.frame("ack")).id, 2);
});

test("uplink server: a damaged batch is refused and may come again, what followed it may not pass before", async (t) => {
  const hub = await startUplinkHub(t);
  const agent = await RawAgent.open(t, hub, hello);
  await agent.frame("welcome");
  agent.send(produce(1, 0));
  await agent.frame("ack");
  const damaged = produce(2, 1);
  damaged.batch.set([0xff], damaged.batch.length - 2);
  agent.send(damaged, produce(3, 2), produce(4, 1), produce(5, 2));
  assert.equal((await agent.frame("nack")).code, "CORRUPT_RECORD");
  assert.equal((await agent.frame("nack", 2)).id, 3);
  assert.equal((await agent.frame("ack", 3)).id, 5);
});

test("uplink server: a record count that cannot be is an invalid record", async (t) => {
  const hub = await startUplinkHub(t);
  const agent = await RawAgent.open(t, hub, hello);
  await agent.frame("welcome");
  const frame = produce(1, 0);
  const batch = Buffer.from(frame.batch);
  batch.writeInt32BE(999, 23);
  batch.writeInt32BE(1000, 57);
  stampProducer(batch, { producerId: hello.producer, producerEpoch: 0, baseSequence: 0 });
  agent.send({ ...frame, batch });
  assert.equal((await agent.frame("nack")).code, "INVALID_RECORD");
});

test("uplink server: acks none is answered only when it is refused", async (t) => {
  const hub = await startUplinkHub(t);
  const agent = await RawAgent.open(t, hub, hello);
  await agent.frame("welcome");
  agent.send(produce(1, 0, { acks: "none" }), produce(2, 9, { acks: "none" }), produce(3, 1, { acks: "leader" }));
  await agent.frame("ack");
  assert.deepEqual(
    agent.frames.flatMap((frame) => (frame.t === "ack" || frame.t === "nack" ? [`${frame.t} ${frame.id}`] : [])),
    ["nack 2", "ack 3"],
  );
  assert.deepEqual(
    hub.engine.appends.map(({ durability }) => durability),
    ["os", "os", "os"],
  );
});

test("uplink server: a gap is acknowledged once it is in the ledger", async (t) => {
  const hub = await startUplinkHub(t);
  const agent = await RawAgent.open(t, hub, hello);
  await agent.frame("welcome");
  const what = { from: 5, to: 9, entry: 0, records: 5, reason: "overflow", since: 1, until: 2 } as const;
  agent.send({ t: "gap", id: 1, topic: "readings", partition: 0, epoch: 1, ...what });
  await agent.frame("ack");
  assert.equal(hub.losses.length, 1);
  assert.equal(hub.server.agents()[0]?.recordsDeclaredLost, 5);
});

test("uplink server: credit comes back as batches are answered", async (t) => {
  const hub = await startUplinkHub(t);
  const agent = await RawAgent.open(t, hub, hello);
  await agent.frame("welcome");
  const frame = produce(1, 0);
  agent.send(frame);
  assert.equal((await agent.frame("credit")).bytes, frame.batch.length);
});

test("uplink server: what all agents have sent together is bounded; then nobody is read, and nobody is taken for dead", async (t) => {
  const options = { bytesInFlightMax: 400_000, silenceMsMax: 60, pingMs: 20 };
  const hub = await startUplinkHub(t, { options });
  const agents = await Promise.all(
    [101n, 102n, 103n].map(async (producer) => {
      const agent = await RawAgent.open(t, hub, { ...hello, producer });
      await agent.frame("welcome");
      return { agent, producer };
    }),
  );
  const large = (producer: bigint, id: number): Produce => {
    const value = Buffer.alloc(100_000, "x");
    const batch = encodeRecords([{ timestamp: id, key: null, value }]);
    stampProducer(batch, { producerId: producer, producerEpoch: 0, baseSequence: id - 1 });
    return { t: "produce", id, topic: "readings", partition: 0, acks: "all", batch };
  };
  const batches = 20;
  hub.engine.holdCommits();
  for (const { agent, producer } of agents) {
    for (let id = 1; id <= batches; id++) agent.send(large(producer, id));
  }
  // For longer than the hub lets an agent be silent whom it reads.
  for (let pings = 0; pings < 10; pings++) await once(agents[0]?.agent.socket ?? assert.fail(), "ping");
  const taken = hub.engine.appends.length;
  // What has arrived of each when the others fill it is taken too.
  assert.ok(taken >= 4 && taken <= 4 + agents.length, `${taken} of ${agents.length * batches} batches`);
  assert.ok(agents.every(({ agent }) => agent.socket.readyState === WebSocket.OPEN));
  // A newcomer is welcomed, and then waits as they do.
  const late = await RawAgent.open(t, hub, { ...hello, producer: 104n });
  await late.frame("welcome");
  late.send(large(104n, 1));
  hub.engine.releaseCommits();
  await Promise.all([late.frame("ack"), ...agents.map(({ agent }) => agent.frame("ack", batches))]);
  assert.equal(hub.engine.appends.length, agents.length * batches + 1, "each once");
});

function sealedNonsense(): Buffer {
  const message = Buffer.from("ffffff" + "00".repeat(SEAL_BYTES), "hex");
  seal(message);
  return message;
}

/** As a bit that flips behind TCP's checksum leaves it. */
function flipped(frame: AgentFrame): Buffer {
  const message = encodeFrame(frame);
  const middle = message.length >> 1;
  message[middle] = (message[middle] as number) ^ 1;
  return message;
}

type Violation = { readonly name: string; readonly send: (agent: RawAgent) => void; readonly code?: number };

const violations: Violation[] = [
  { name: "a second hello", send: (agent) => agent.send(hello) },
  {
    name: "a status that is no few figures",
    send: (agent) => agent.send({ t: "status", status: { text: "x".repeat(UPLINK_STATUS_BYTES_MAX) } }),
  },
  { name: "text", send: (agent) => agent.socket.send("hello") },
  { name: "no CBOR", send: (agent) => agent.socket.send(sealedNonsense()) },
  { name: "a damaged frame", send: (agent) => agent.socket.send(flipped(produce(1, 0))), code: 1007 },
  { name: "nothing at all", send: (agent) => agent.socket.send(Buffer.alloc(0)), code: 1007 },
  {
    name: "a batch of another producer",
    send: (agent) => {
      const frame = produce(1, 0);
      stampProducer(frame.batch as Buffer, { producerId: 78n, producerEpoch: 0, baseSequence: 0 });
      agent.send(frame);
    },
  },
  {
    name: "more than the credit",
    send: (agent) => agent.send(produce(1, 0), produce(2, 1, { partition: 1 }), produce(3, 2)),
  },
];

for (const { name, send, code = 1002 } of violations) {
  test(`uplink server: ${name} -> the connection ends, the hub goes on`, async (t) => {
    const hub = await startUplinkHub(t, { options: { creditBytes: 100 } });
    const agent = await RawAgent.open(t, hub, hello);
    await agent.frame("welcome");
    hub.engine.holdCommits();
    send(agent);
    assert.equal((await agent.closed).code, code);
    hub.engine.releaseCommits();
    const next = await RawAgent.open(t, hub, hello);
    await next.frame("welcome");
  });
}

test("uplink server: frames before the hello end the connection", async (t) => {
  const hub = await startUplinkHub(t);
  const agent = await RawAgent.open(t, hub, produce(1, 0));
  assert.equal((await agent.closed).code, 1002);
});

test("uplink server: without a hello in time the connection ends", async (t) => {
  const hub = await startUplinkHub(t, { options: { helloTimeoutMs: 50 } });
  const agent = await RawAgent.open(t, hub);
  assert.match((await agent.closed).reason, /no hello/);
});

test("uplink server: a message above the limit ends the connection", async (t) => {
  const hub = await startUplinkHub(t);
  const agent = await RawAgent.open(t, hub, hello);
  await agent.frame("welcome");
  agent.socket.on("error", () => undefined);
  agent.socket.send(Buffer.alloc(5 * 1024 * 1024));
  assert.equal((await agent.closed).code, 1009);
});

test("uplink server: closing answers what was taken and says goodbye", async (t) => {
  const hub = await startUplinkHub(t);
  const agent = await RawAgent.open(t, hub, hello);
  await agent.frame("welcome");
  hub.engine.holdCommits();
  agent.send(produce(1, 0));
  while (hub.engine.appends.length === 0) await new Promise(setImmediate);
  const stopped = hub.stop();
  hub.engine.releaseCommits();
  await stopped;
  assert.equal((await agent.closed).code, 1001);
  assert.equal((await agent.frame("ack")).id, 1);
});
