import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRecords, encodeRecords } from "../../../../../shared/batch/records.ts";
import {
  checkBatch,
  codecOf,
  isLogAppendTime,
  readBatchHeader,
  stampProducer,
} from "../../../../../shared/batch/record-batch.ts";
import { StreamError } from "../../../../../shared/errors.ts";
import { dispatch } from "../../../../../hub/kafka/dispatch.ts";
import { initProducerIdApi, produceApi } from "../../../../../hub/kafka/schemas/records.ts";
import { answer, ask, kafkaServices, readResponse, requestFrame, testPeer } from "../../../../support/kafka-hub.ts";
import { VirtualTimers, settled } from "../../../../support/virtual-timers.ts";

const batchOf = (...values: readonly string[]): Buffer =>
  encodeRecords(values.map((value) => ({ timestamp: 1000, key: null, value: Buffer.from(value) })));

type Data = { readonly topic?: string; readonly partition?: number; readonly records?: Buffer | null };

function producing({ topic = "t", partition = 0, records = batchOf("v") }: Data = {}, acks = -1) {
  return {
    transactionalId: null,
    acks,
    timeoutMs: 1000,
    topicData: [{ name: topic, partitionData: [{ index: partition, records: records === null ? null : [records] }] }],
  };
}

async function setUp(config: Record<string, string> = {}) {
  const services = kafkaServices({ clock: new VirtualTimers() });
  await services.engine.createTopic({ name: "t", partitionCount: 2, config });
  const produce = async (request: ReturnType<typeof producing>, version = 9) =>
    (await answer(services, { api: produceApi, version, request })).responses[0]?.partitionResponses[0];
  return { ...services, services, produce };
}

test("a batch is stored as it is and answered with its offset", async () => {
  const { engine, produce } = await setUp();
  await produce(producing());
  const records = batchOf("a", "b");
  const response = await produce(producing({ records }));
  assert.deepEqual(
    [response?.errorCode, response?.baseOffset, response?.logAppendTimeMs, response?.logStartOffset],
    [0, 1, -1, 0],
  );
  const stored = engine.read({ topic: "t", partition: 0, offset: 1, bytesMax: 1e6, atLeastOne: true }).batches[0];
  assert.ok(stored?.subarray(16).equals(records.subarray(16)));
});

test("a compacted topic refuses records without a key and says which; of an old request only the batch", async () => {
  for (const policy of ["compact", "delete,compact"]) {
    const { engine, produce } = await setUp({ "cleanup.policy": policy });
    const keys = ["a", null, "b", null].map((key) => (key === null ? null : Buffer.from(key)));
    const records = (): Buffer => encodeRecords(keys.map((key) => ({ timestamp: 1000, key, value: Buffer.from("v") })));
    const response = await produce(producing({ records: records() }));
    assert.deepEqual([response?.errorCode, response?.baseOffset], [87, -1]);
    assert.deepEqual(
      response?.recordErrors.map(({ batchIndex }) => batchIndex),
      [1, 3],
    );
    assert.equal((await produce(producing({ records: records() }), 7))?.errorCode, 87);
    assert.equal(engine.appends.length, 0);
    const keyed = encodeRecords([{ timestamp: 1000, key: Buffer.from("a"), value: null }], "gzip");
    assert.equal((await produce(producing({ records: keyed })))?.errorCode, 0);
  }
});

test("acknowledged means flushed, with acks=1 too", async () => {
  const { engine, produce } = await setUp();
  await produce(producing({}, 1));
  await produce(producing({}, -1));
  assert.deepEqual(
    engine.appends.map(({ durability }) => durability),
    ["fsync", "fsync"],
  );
});

test("nothing is answered before the commit", async () => {
  const { engine, produce } = await setUp();
  engine.holdCommits();
  let answered = false;
  const response = produce(producing()).then(() => (answered = true));
  await settled();
  assert.equal(answered, false);
  engine.releaseCommits();
  await response;
});

test("the appends of successive requests are asked for in order before any is answered", async () => {
  const { engine, services } = await setUp();
  engine.holdCommits();
  const pending = ["1", "2", "3"].map((value) =>
    dispatch(requestFrame(produceApi, 9, producing({ records: batchOf(value) })), services, testPeer()),
  );
  const values = engine.appends.map(({ batch }) => String([...decodeRecords(batch)][0]?.value));
  assert.deepEqual(values, ["1", "2", "3"]);
  engine.releaseCommits();
  for (const { response } of pending) await response;
});

test("acks=0 is not answered; when it fails the connection must be closed", async () => {
  const { engine, services } = await setUp();
  assert.equal(await ask(services, { api: produceApi, version: 9, request: producing({}, 0) }), undefined);
  assert.equal(engine.offsets({ topic: "t", partition: 0 }).highWatermark, 1);
  const request = producing({ topic: "unknown" }, 0);
  await assert.rejects(ask(services, { api: produceApi, version: 9, request }), StreamError);
});

const refusals: readonly [what: string, data: Data, acks: number, wire: number][] = [
  ["acks other than -1, 0, 1", {}, 2, 21],
  ["an unknown topic, which is not created", { topic: "other" }, -1, 3],
  ["a partition beyond the last", { partition: 2 }, -1, 3],
  ["a negative partition", { partition: -1 }, -1, 3],
  ["null records", { records: null }, -1, 87],
  ["a broken batch", { records: Buffer.alloc(61) }, -1, 87],
];
for (const [what, data, acks, wire] of refusals) {
  test(`${what}: answered with ${wire} and without offsets`, async () => {
    const { engine, produce } = await setUp();
    const response = await produce(producing(data, acks));
    assert.deepEqual(
      [response?.errorCode, response?.baseOffset, response?.logAppendTimeMs, response?.logStartOffset],
      [wire, -1, -1, -1],
    );
    assert.equal(engine.appends.length, 0);
  });
}

test("one partition's error does not fail the others", async () => {
  const { services } = await setUp();
  const partitionData = [
    { index: 0, records: [batchOf("a")] },
    { index: 7, records: [batchOf("b")] },
    { index: 1, records: [batchOf("c")] },
  ];
  const request = { ...producing(), topicData: [{ name: "t", partitionData }] };
  const response = await answer(services, { api: produceApi, version: 9, request });
  assert.deepEqual(
    response.responses[0]?.partitionResponses.map(({ index, errorCode }) => [index, errorCode]),
    [
      [0, 0],
      [7, 3],
      [1, 0],
    ],
  );
});

test("transactions fail at once and for good", async () => {
  const { services, produce } = await setUp();
  assert.equal((await produce({ ...producing(), transactionalId: "tx" } as never))?.errorCode, 53);
  const request = { transactionalId: "tx", transactionTimeoutMs: 1 };
  const { errorCode } = await answer(services, { api: initProducerIdApi, version: 4, request });
  assert.equal(errorCode, 53);
});

test("idempotent producers get fresh ids, and their retries are recognised", async () => {
  const { services, produce } = await setUp();
  const request = { transactionalId: null, transactionTimeoutMs: 1 };
  const first = await answer(services, { api: initProducerIdApi, version: 1, request });
  const second = await answer(services, { api: initProducerIdApi, version: 5, request });
  assert.ok(first.errorCode === 0 && first.producerEpoch === 0 && first.producerId !== second.producerId);
  const records = batchOf("once");
  stampProducer(records, { producerId: first.producerId, producerEpoch: 0, baseSequence: 0 });
  assert.equal((await produce(producing({ records: Buffer.from(records) })))?.baseOffset, 0);
  assert.equal((await produce(producing({ records: Buffer.from(records) })))?.baseOffset, 0);
  stampProducer(records, { producerId: first.producerId, producerEpoch: 0, baseSequence: 5 });
  assert.equal((await produce(producing({ records })))?.errorCode, 45);
});

test("LogAppendTime: the hub's time goes into the batch and into the answer", async () => {
  const { engine, produce, clock } = await setUp({ "message.timestamp.type": "LogAppendTime" });
  const response = await produce(producing());
  assert.equal(response?.logAppendTimeMs, clock.wallMs());
  const [stored] = engine.read({ topic: "t", partition: 0, offset: 0, bytesMax: 1e6, atLeastOne: true }).batches;
  assert.ok(stored !== undefined);
  assert.ok(isLogAppendTime(checkBatch(stored)));
  assert.equal(readBatchHeader(stored).maxTimestamp, clock.wallMs());
  assert.equal(engine.appends[0]?.header.maxTimestamp, clock.wallMs());
});

test("a topic's own compression: stored in its codec, in the order of the requests, and retries are recognised", async () => {
  const { engine, services, produce } = await setUp({ "compression.type": "zstd" });
  const numbered = (value: string, baseSequence: number): Buffer => {
    const records = batchOf(value);
    stampProducer(records, { producerId: 9n, producerEpoch: 0, baseSequence });
    return records;
  };
  engine.holdCommits();
  const pending = ["a", "b"].map((value, sequence) => {
    const request = producing({ records: numbered(value, sequence) });
    return dispatch(requestFrame(produceApi, 9, request), services, testPeer()).response;
  });
  assert.equal(engine.appends.length, 2, "asked for before anything is answered");
  engine.releaseCommits();
  for (const response of pending) await response;
  const again = await produce(producing({ records: numbered("b", 1) }));
  assert.deepEqual([again?.errorCode, again?.baseOffset], [0, 1]);
  const { batches } = engine.read({ topic: "t", partition: 0, offset: 0, bytesMax: 1e6, atLeastOne: true });
  assert.deepEqual(
    batches.map((batch) => [
      codecOf(checkBatch(batch)),
      ...Array.from(decodeRecords(batch), ({ value }) => String(value)),
    ]),
    [
      ["zstd", "a"],
      ["zstd", "b"],
    ],
  );
});

test("records beyond the topic's limits of time are named to clients that can hear it, from version 8 on", async () => {
  const { engine, produce, clock } = await setUp({ "message.timestamp.before.max.ms": "1000" });
  const times = [clock.wallMs(), clock.wallMs() - 2000];
  const records = encodeRecords(times.map((timestamp) => ({ timestamp, key: null, value: Buffer.from("v") })));
  for (const [version, indexes] of [
    [7, []],
    [8, [1]],
    [11, [1]],
  ] as const) {
    const response = await produce(producing({ records }), version);
    assert.deepEqual([response?.errorCode, response?.recordErrors.map(({ batchIndex }) => batchIndex)], [32, indexes]);
  }
  assert.equal(engine.appends.length, 0);
});

test("a small batch of a large request does not keep the request alive", async () => {
  const { engine, services } = await setUp();
  const partitionData = [
    { index: 0, records: [batchOf("small")] },
    { index: 1, records: [batchOf("x".repeat(100_000))] },
  ];
  const request = { ...producing(), topicData: [{ name: "t", partitionData }] };
  const frame = requestFrame(produceApi, 9, request);
  const response = await dispatch(frame, services, testPeer()).response;
  assert.equal(readResponse(produceApi, 9, Buffer.concat(response?.chunks ?? []).subarray(4)).responses.length, 1);
  const [small, large] = engine.appends;
  assert.ok((small?.batch.buffer.byteLength ?? Infinity) < frame.buffer.byteLength);
  assert.equal(large?.batch.buffer, frame.buffer, "a batch that is most of its request stays where it is");
});
