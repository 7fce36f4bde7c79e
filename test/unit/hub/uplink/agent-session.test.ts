import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { test } from "node:test";
import { AgentSession } from "../../../../hub/uplink/agent-session.ts";
import { InFlightPool } from "../../../../hub/uplink/in-flight-pool.ts";
import type { KnownAgent } from "../../../../hub/uplink/registry.ts";
import { stampProducer } from "../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../shared/batch/records.ts";
import { systemClock } from "../../../../shared/clock.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import type { HubFrame, Produce } from "../../../../shared/uplink/frames.ts";
import { ledgerOf } from "../../../support/hub-ledger.ts";
import { MemoryEngine } from "../../../support/memory-engine.ts";

const TOPIC = "readings";
const PRODUCER_ID = 7n;
const RECORDS_EACH = 10;

function startSession(engine: MemoryEngine) {
  const sent: HubFrame[] = [];
  const session = new AgentSession({
    engine,
    ledger: ledgerOf([]),
    logger: silentLogger(),
    clock: systemClock,
    autoCreateTopics: false,
    creditBytes: 8 * 1024 * 1024,
    inFlight: new InFlightPool(Infinity),
    address: "",
    send: (frame) => void sent.push(frame),
    refuse: (error) => assert.fail(error),
    introduce: async (introduction) => ({ introduction, counters: { refused: 0 } }) as unknown as KnownAgent,
  });
  return { session, sent };
}

function produce(id: number, baseSequence: number): Produce {
  const values = Array.from({ length: RECORDS_EACH }, (_, i) => Buffer.from(`${baseSequence + i}`));
  const batch = encodeRecords(values.map((value) => ({ timestamp: 1000, key: null, value })));
  stampProducer(batch, { producerId: PRODUCER_ID, producerEpoch: 0, baseSequence });
  return { t: "produce", id, topic: TOPIC, partition: 0, acks: "all", batch };
}

async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await setImmediate();
}

test("a batch refused for a topic that is gone: what follows it is refused too, also when the topic is made again", async () => {
  const engine = new MemoryEngine();
  await engine.createTopic({ name: TOPIC, partitionCount: 1 });
  const { session, sent } = startSession(engine);
  const topics = [{ name: TOPIC, partitions: 1 }];
  session.receive({ t: "hello", agent: "a", producer: PRODUCER_ID, instance: "1", version: "1", topics });
  await settled();
  session.receive(produce(1, 0));
  await settled();

  await engine.deleteTopic(TOPIC);
  session.receive(produce(2, RECORDS_EACH));
  await engine.createTopic({ name: TOPIC, partitionCount: 1 });
  session.receive(produce(3, 2 * RECORDS_EACH));
  await settled();

  const answers = sent.filter((frame) => frame.t === "ack" || frame.t === "nack");
  assert.deepEqual(
    answers.map((frame) => [frame.id, frame.t === "nack" ? frame.code : "stored"]),
    [
      [1, "stored"],
      [2, "UNKNOWN_TOPIC_OR_PARTITION"],
      [3, "OUT_OF_ORDER_SEQUENCE_NUMBER"],
    ],
  );
  assert.equal(engine.offsets({ topic: TOPIC, partition: 0 }).highWatermark, 0);

  session.receive(produce(4, RECORDS_EACH));
  await settled();
  assert.equal(engine.offsets({ topic: TOPIC, partition: 0 }).highWatermark, RECORDS_EACH, "the refused one again");
});
