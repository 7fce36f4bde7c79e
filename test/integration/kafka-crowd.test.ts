/** Connections that do nothing, and readers that do not read, beside a client that works: it does not notice them. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fetchApi } from "../../hub/kafka/schemas/records.ts";
import { zeroId } from "../../hub/kafka/topic-ids.ts";
import { onCleanUp } from "../support/clean-up.ts";
import { requestFrame } from "../support/kafka-hub.ts";
import { startHub } from "../support/programs.ts";
import { rssBytes } from "../support/rss.ts";
import { kafkaJs, openAdmin } from "../support/topic-ends.ts";

const TOPIC = "crowd";
/** As the hub's default: kafka.connectionsMax. */
const CONNECTIONS_MAX = 500;
const SLOW_READERS = 60;
/** Left for the client that works, and its admin. */
const SEATS_LEFT = 10;
/** What one slow reader asks for, over and over. */
const FETCH_BYTES = 8 * 1024 * 1024;
const STORED_BYTES = 24 * 1024 * 1024;
const RECORD_BYTES = 512 * 1024;
const ROUND_TRIPS = 20;
const ROUND_TRIP_MS_MAX = 2000;
/** All of them together; what they asked for would be 60 × 5 × 8 MiB. */
const RSS_GROWTH_BYTES_MAX = 256 * 1024 * 1024;

async function open(t: TestContext, port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port });
  onCleanUp(t, () => socket.destroy());
  // Those that are refused are reset.
  socket.on("error", () => socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** Asks for all there is, five times, and never looks at the answers. */
function askAndForget(socket: Socket): void {
  socket.pause();
  const partition = { partition: 0, fetchOffset: 0, partitionMaxBytes: FETCH_BYTES };
  const body = requestFrame(fetchApi, 11, {
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: FETCH_BYTES,
    isolationLevel: 0,
    topics: [{ topic: TOPIC, topicId: zeroId, partitions: [partition] }],
  });
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length);
  for (let i = 0; i < 5; i++) socket.write(Buffer.concat([length, body]));
}

test("500 connections, 60 of them readers that do not read: others are served, memory is bounded, one more is refused", async (t) => {
  const hub = await startHub(t);
  const admin = await openAdmin(t, hub.kafkaAddress);
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 1 }], waitForLeaders: false });
  const producer = kafkaJs(hub.kafkaAddress).producer({ allowAutoTopicCreation: false });
  onCleanUp(t, () => producer.disconnect());
  await producer.connect();
  const value = Buffer.alloc(RECORD_BYTES, "v");
  for (let stored = 0; stored < STORED_BYTES; stored += RECORD_BYTES) {
    await producer.send({ topic: TOPIC, messages: [{ value }] });
  }
  const rssBefore = rssBytes(hub.process.pid);

  const idle: Socket[] = [];
  while (idle.length < CONNECTIONS_MAX - SEATS_LEFT) idle.push(await open(t, hub.kafkaPort));
  for (const socket of idle.slice(0, SLOW_READERS)) askAndForget(socket);

  let slowestMs = 0;
  for (let i = 0; i < ROUND_TRIPS; i++) {
    const startMs = performance.now();
    await producer.send({ topic: TOPIC, messages: [{ value: String(i) }] });
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
  }
  assert.ok(slowestMs < ROUND_TRIP_MS_MAX, `a produce took ${Math.round(slowestMs)} ms`);
  const growth = rssBytes(hub.process.pid) - rssBefore;
  t.diagnostic(`slowest produce ${Math.round(slowestMs)} ms, memory +${Math.round(growth / 2 ** 20)} MiB`);
  assert.ok(growth < RSS_GROWTH_BYTES_MAX, `memory grew by ${Math.round(growth / 2 ** 20)} MiB`);

  const late = await Promise.all(Array.from({ length: SEATS_LEFT + 1 }, () => open(t, hub.kafkaPort)));
  late.forEach((socket) => socket.resume());
  await Promise.race(late.map((socket) => once(socket, "close")));
});
