/** The listener's limits and its end, over real sockets. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { readBatchHeader } from "../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../shared/batch/records.ts";
import { systemClock } from "../../shared/clock.ts";
import { StreamError } from "../../shared/errors.ts";
import { silentLogger } from "../../shared/logger.ts";
import { KafkaListener } from "../../hub/kafka/listener.ts";
import { apiVersionsApi } from "../../hub/kafka/schemas/cluster.ts";
import { fetchApi, produceApi } from "../../hub/kafka/schemas/records.ts";
import { metadataApi } from "../../hub/kafka/schemas/topics.ts";
import { onCleanUp } from "../support/clean-up.ts";
import { readResponse, requestFrame, startKafka } from "../support/kafka-hub.ts";
import type { MemoryEngine } from "../support/memory-engine.ts";
import { noGroups } from "../support/no-groups.ts";
import { RawKafkaClient } from "../support/raw-kafka-client.ts";

const batchOf = (bytes: number): Buffer => encodeRecords([{ timestamp: 0, key: null, value: Buffer.alloc(bytes) }]);
const versions = requestFrame(apiVersionsApi, 0, { clientSoftwareName: "", clientSoftwareVersion: "" });

const producing = (records: Buffer, acks = -1): Buffer =>
  requestFrame(produceApi, 9, {
    transactionalId: null,
    acks,
    timeoutMs: 0,
    topicData: [{ name: "t", partitionData: [{ index: 0, records: [records] }] }],
  });

const fetching = (limits: { maxWaitMs?: number; fetchOffset?: number } = {}): Buffer =>
  requestFrame(fetchApi, 11, {
    maxWaitMs: limits.maxWaitMs ?? 0,
    minBytes: 1,
    maxBytes: 100_000_000,
    isolationLevel: 0,
    topics: [
      {
        topic: "t",
        topicId: Buffer.alloc(16),
        partitions: [{ partition: 0, fetchOffset: limits.fetchOffset ?? 0, partitionMaxBytes: 100_000_000 }],
      },
    ],
  });

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

async function startWithTopic(t: TestContext, options: Parameters<typeof startKafka>[1] = {}) {
  const hub = await startKafka(t, options);
  await hub.engine.createTopic({ name: "t", partitionCount: 1 });
  return hub;
}

async function fill(engine: MemoryEngine, batches: number, bytes: number): Promise<void> {
  for (let i = 0; i < batches; i++) {
    const batch = batchOf(bytes);
    await engine.append({ topic: "t", partition: 0, batch, header: readBatchHeader(batch), durability: "os" });
  }
}

test("answers come in the order of the requests, also when a later one is ready first", async (t) => {
  const hub = await startWithTopic(t);
  const client = await RawKafkaClient.connect(t, hub);
  hub.engine.holdCommits();
  client.send(producing(batchOf(10)), versions, requestFrame(metadataApi, 1, { topics: null }));
  await until(() => hub.engine.appends.length === 1 && hub.listener.stats().requestsTotal.get("Metadata") === 1);
  hub.engine.releaseCommits();
  assert.equal(readResponse(produceApi, 9, await client.receive()).responses[0]?.partitionResponses[0]?.errorCode, 0);
  assert.ok(readResponse(apiVersionsApi, 0, await client.receive()).apiKeys.length > 20);
  assert.equal(readResponse(metadataApi, 1, await client.receive()).topics[0]?.name, "t");
});

test("at most five requests of a connection are in flight; the rest follow when they are answered", async (t) => {
  const hub = await startWithTopic(t);
  const client = await RawKafkaClient.connect(t, hub);
  hub.engine.holdCommits();
  client.send(...Array.from({ length: 12 }, () => producing(batchOf(10))));
  await until(() => hub.engine.appends.length === 5);
  // A second connection makes a round trip: had the first been read on, there would be more by now.
  const other = await RawKafkaClient.connect(t, hub);
  other.send(versions);
  await other.receive();
  assert.equal(hub.engine.appends.length, 5);
  hub.engine.releaseCommits();
  const offsets: (number | undefined)[] = [];
  for (let i = 0; i < 12; i++) {
    const response = readResponse(produceApi, 9, await client.receive());
    offsets.push(response.responses[0]?.partitionResponses[0]?.baseOffset);
  }
  assert.deepEqual(offsets, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  assert.equal(hub.listener.stats().requestBytesInFlight, 0);
});

test("the bytes of unanswered requests of all connections are bounded, and all are served in the end", async (t) => {
  const request = producing(batchOf(1000));
  const hub = await startWithTopic(t, { options: { requestBytesInFlightMax: request.length * 2 } });
  hub.engine.holdCommits();
  const clients = await Promise.all(Array.from({ length: 5 }, () => RawKafkaClient.connect(t, hub)));
  for (const client of clients) client.send(request, request);
  await until(() => hub.listener.stats().requestBytesInFlight === request.length * 2);
  hub.engine.releaseCommits();
  for (const client of clients) {
    await client.receive();
    await client.receive();
  }
  assert.equal(hub.engine.offsets({ topic: "t", partition: 0 }).highWatermark, 10);
  assert.equal(hub.listener.stats().requestBytesInFlight, 0);
});

test("a client that does not read is not served on, and gets everything when it reads again", async (t) => {
  const hub = await startWithTopic(t, { options: { responseBytesQueuedMax: 1024 * 1024 } });
  await fill(hub.engine, 16, 500_000);
  const client = await RawKafkaClient.connect(t, hub);
  client.socket.pause();
  const fetches = 30;
  client.send(...Array.from({ length: fetches }, () => fetching()));
  const served = () => hub.listener.stats().requestsTotal.get("Fetch") ?? 0;
  const other = await RawKafkaClient.connect(t, hub);
  for (let i = 0; i < 20; i++) {
    other.send(versions);
    await other.receive();
  }
  assert.ok(
    served() < fetches,
    `${served()} of ${fetches} fetches of 8 MB each were served to a client that does not read`,
  );
  client.socket.resume();
  for (let i = 0; i < fetches; i++) {
    const response = readResponse(fetchApi, 11, await client.receive());
    assert.ok((response.responses[0]?.partitions[0]?.records?.length ?? 0) > 7_000_000);
  }
  assert.equal(served(), fetches);
});

test("a client that has said what it is gets what is stored, also with an old Fetch; one that has not gets no zstd", async (t) => {
  const hub = await startWithTopic(t);
  const batch = encodeRecords([{ timestamp: 0, key: null, value: Buffer.alloc(1000) }], "zstd");
  await hub.engine.append({ topic: "t", partition: 0, batch, header: readBatchHeader(batch), durability: "os" });
  const oldFetch = requestFrame(fetchApi, 4, {
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 100_000,
    isolationLevel: 0,
    topics: [
      {
        topic: "t",
        topicId: Buffer.alloc(16),
        partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 100_000 }],
      },
    ],
  });
  const fetched = async (client: RawKafkaClient): Promise<number> => {
    client.send(oldFetch);
    const response = readResponse(fetchApi, 4, await client.receive());
    return response.responses[0]?.partitions[0]?.records?.length ?? 0;
  };
  const client = await RawKafkaClient.connect(t, hub);
  assert.ok((await fetched(client)) > 1000);
  client.send(requestFrame(apiVersionsApi, 3, { clientSoftwareName: "test", clientSoftwareVersion: "1" }));
  await client.receive();
  assert.equal(await fetched(client), batch.length);
});

test("a large answer is what is stored, byte for byte", async (t) => {
  const hub = await startWithTopic(t);
  await fill(hub.engine, 5, 100_000);
  const { batches } = hub.engine.read({ topic: "t", partition: 0, offset: 0, bytesMax: 1e9, atLeastOne: true });
  const client = await RawKafkaClient.connect(t, hub);
  client.send(fetching());
  const response = readResponse(fetchApi, 11, await client.receive());
  assert.ok(response.responses[0]?.partitions[0]?.records?.equals(Buffer.concat(batches)));
});

const closing: readonly [what: string, bytes: string | Buffer][] = [
  ["a request announced too large", Buffer.from([0x7f, 0xff, 0xff, 0xff])],
  ["a request too short to be one", Buffer.from([0, 0, 0, 3, 1, 2, 3])],
  ["TLS", Buffer.from([0x16, 3, 1, 2, 0, 1, 0])],
  ["HTTP", "GET / HTTP/1.1\r\nHost: hub\r\n\r\n"],
  ["an API that is not served", Buffer.from("0000000a7777000000000001ffff", "hex")],
  ["a version that is not served", Buffer.from("0000000a0000000000000001ffff", "hex")],
  ["a malformed request", Buffer.from("0000000e0003000100000001ffff7fffffff", "hex")],
];
for (const [what, bytes] of closing) {
  test(`${what} closes the connection, and only that one`, async (t) => {
    const hub = await startWithTopic(t);
    const [client, other] = await Promise.all([RawKafkaClient.connect(t, hub), RawKafkaClient.connect(t, hub)]);
    client.socket.write(bytes);
    await client.closed;
    other.send(versions);
    assert.ok((await other.receive()).length > 0);
    assert.equal(hub.listener.stats().connectionsRefusedTotal, 1);
  });
}

test("a failed produce with acks=0 closes the connection, a good one is not answered", async (t) => {
  const hub = await startWithTopic(t);
  const client = await RawKafkaClient.connect(t, hub);
  client.send(producing(batchOf(10), 0), versions);
  assert.ok(readResponse(apiVersionsApi, 0, await client.receive()).apiKeys.length > 0);
  client.send(producing(Buffer.alloc(70), 0));
  await client.closed;
});

test("what a producer with acks=0 has sent is stored although it is gone; other requests are dropped", async (t) => {
  const hub = await startWithTopic(t);
  const client = await RawKafkaClient.connect(t, hub);
  hub.engine.holdCommits();
  const requests = Array.from({ length: 12 }, () => producing(batchOf(10), 0));
  client.send(...requests, fetching({ maxWaitMs: 30_000, fetchOffset: 12 }), producing(batchOf(10), 0));
  client.socket.end();
  await client.closed;
  await until(() => hub.listener.stats().connections === 0);
  assert.equal(hub.engine.appends.length, 5, "as many as are in flight at a time");
  hub.engine.releaseCommits();
  await until(() => hub.engine.appends.length === 13);
  await until(() => hub.listener.stats().requestBytesInFlight === 0);
  assert.equal(hub.listener.stats().requestsTotal.get("Fetch"), undefined);
});

test("connections beyond the limit are closed at once, and there is room again when others leave", async (t) => {
  const hub = await startWithTopic(t, { options: { connectionsMax: 2 } });
  const clients = [await RawKafkaClient.connect(t, hub), await RawKafkaClient.connect(t, hub)];
  await until(() => hub.listener.stats().connections === 2);
  const refused = await RawKafkaClient.connect(t, hub);
  await refused.closed;
  clients[0]?.socket.destroy();
  await until(() => hub.listener.stats().connections === 1);
  const next = await RawKafkaClient.connect(t, hub);
  next.send(versions);
  await next.receive();
});

test("connections from one address are limited, those from loopback are not", async (t) => {
  const address = Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .find(({ internal, family }) => !internal && family === "IPv4")?.address;
  if (address === undefined) return t.skip("no address but loopback");
  const hub = await startWithTopic(t, { options: { host: "0.0.0.0", connectionsPerAddressMax: 1 } });
  const outside = { host: address, port: hub.port };
  await RawKafkaClient.connect(t, outside);
  await until(() => hub.listener.stats().connections === 1);
  const refused = await RawKafkaClient.connect(t, outside);
  await refused.closed;
  const local = { host: "127.0.0.1", port: hub.port };
  for (const client of [await RawKafkaClient.connect(t, local), await RawKafkaClient.connect(t, local)]) {
    client.send(versions);
    await client.receive();
  }
});

test("an idle connection is closed", async (t) => {
  const hub = await startWithTopic(t, { options: { connectionIdleMs: 20 } });
  const client = await RawKafkaClient.connect(t, hub);
  await client.closed;
});

test("the fetch of a client that hangs up is dropped", async (t) => {
  const hub = await startWithTopic(t);
  const client = await RawKafkaClient.connect(t, hub);
  client.send(fetching({ maxWaitMs: 30_000 }));
  await until(() => hub.listener.stats().fetchesParked === 1);
  client.socket.destroy();
  await until(() => hub.listener.stats().fetchesParked === 0);
});

test("closing answers parked fetches and appends in flight, then ends the connections", async (t) => {
  const hub = await startWithTopic(t);
  const [reader, writer, idle] = await Promise.all([
    RawKafkaClient.connect(t, hub),
    RawKafkaClient.connect(t, hub),
    RawKafkaClient.connect(t, hub),
  ]);
  reader.send(fetching({ maxWaitMs: 30_000 }));
  await until(() => hub.listener.stats().fetchesParked === 1);
  hub.engine.holdCommits();
  writer.send(producing(batchOf(10)));
  await until(() => hub.engine.appends.length === 1);
  const closed = hub.listener.close();
  assert.equal(readResponse(fetchApi, 11, await reader.receive()).responses[0]?.partitions[0]?.records?.length, 0);
  hub.engine.releaseCommits();
  assert.equal(readResponse(produceApi, 9, await writer.receive()).responses[0]?.partitionResponses[0]?.errorCode, 0);
  await Promise.all([closed, reader.closed, writer.closed, idle.closed]);
});

test("closing is over in bounded time though a request is never answered", async (t) => {
  const hub = await startWithTopic(t, { options: { closeMsMax: 20 } });
  const client = await RawKafkaClient.connect(t, hub);
  hub.engine.holdCommits();
  client.send(producing(batchOf(10)));
  await until(() => hub.engine.appends.length === 1);
  await hub.listener.close();
  await client.closed;
});

test("an address that is taken is PORT_IN_USE, one that cannot be bound CONFIG_INVALID", async (t) => {
  const { port, engine } = await startWithTopic(t);
  const start = (options: { host?: string; port: number }) =>
    new KafkaListener({ engine, groups: noGroups(), clock: systemClock, logger: silentLogger(), options }).start();
  const withCode = (code: string) => (error: unknown) => error instanceof StreamError && error.code === code;
  await assert.rejects(start({ port }), withCode("PORT_IN_USE"));
  await assert.rejects(start({ host: "192.0.2.1", port: 0 }), withCode("CONFIG_INVALID"));
});

test("counters tell what went on", async (t) => {
  const hub = await startWithTopic(t);
  const client = await RawKafkaClient.connect(t, hub);
  client.send(versions, versions);
  await client.receive();
  await client.receive();
  const open = hub.listener.stats();
  assert.deepEqual([open.connections, open.connectionsTotal, open.requestsTotal.get("ApiVersions")], [1, 1, 2]);
  assert.equal(open.bytesInTotal, 2 * (versions.length + 4));
  client.socket.destroy();
  await until(() => hub.listener.stats().connections === 0);
  assert.equal(hub.listener.stats().bytesOutTotal, open.bytesOutTotal);
});

test("clients are told the address at which they came, or the one that is set", async (t) => {
  for (const [options, expected] of [
    [{}, (port: number) => ["127.0.0.1", port]],
    [{ advertisedHost: "hub.example", advertisedPort: 19_092 }, () => ["hub.example", 19_092]],
  ] as const) {
    const hub = await startWithTopic(t, { options });
    const socket = connect(hub);
    onCleanUp(t, () => socket.destroy());
    await once(socket, "connect");
    const client = new RawKafkaClient(socket);
    client.send(requestFrame(metadataApi, 1, { topics: [] }));
    const [broker] = readResponse(metadataApi, 1, await client.receive()).brokers;
    assert.deepEqual([broker?.host, broker?.port], expected(hub.port));
  }
});
