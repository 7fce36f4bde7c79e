import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { hubMetrics } from "../../../../hub/http/metrics.ts";
import { HubHttpServer } from "../../../../hub/http/server.ts";
import type { HubHttpParts } from "../../../../hub/http/server.ts";
import { systemClock } from "../../../../shared/clock.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import { onCleanUp } from "../../../support/clean-up.ts";

const topic = { name: "readings", id: Buffer.alloc(16), partitionCount: 2, config: {} };
const committed = (offset: number) => ({ offset, leaderEpoch: -1, metadata: "", committedAt: 0 });

const sources: Omit<HubHttpParts, "logger" | "onUplink" | "options"> = {
  version: "1.2.3",
  clock: systemClock,
  engine: {
    clusterId: "abc",
    compaction: {
      runsTotal: 2,
      bytesBeforeTotal: 900,
      bytesAfterTotal: 300,
      recordsRemovedTotal: 7,
      lastDurationMs: 1500,
    },
    topics: new Map([["readings", topic]]),
    offsets: ({ partition }) => ({
      logStartOffset: 10,
      highWatermark: partition === 0 ? 50 : 10,
      logEndOffset: 50,
      bytes: 400,
    }),
  },
  groups: {
    list: () => [{ group: "<b>g</b>", type: "classic", protocolType: "consumer", state: "Stable", memberCount: 1 }],
    committed: () =>
      new Map([
        [
          "readings",
          new Map([
            [0, committed(45)],
            [1, committed(0)],
            [9, committed(0)],
          ]),
        ],
        ["gone", new Map([[0, committed(0)]])],
      ]),
  },
  agents: {
    list: () => [{ agent: "gateway-1", producer: "77", isConnected: true }],
    losses: async (entriesMax) => [{ agent: "gateway-1", producerId: 2n ** 62n, records: entriesMax }],
    lossTotals: async () => [
      { producerId: 77n, topic: "readings", reason: "overflow", records: 5 },
      { producerId: 77n, topic: "readings", reason: "corrupt", records: 1 },
      { producerId: 78n, topic: "readings", reason: "overflow", records: 100 },
    ],
  },
  kafka: {
    stats: () => ({
      connections: 1,
      connectionsTotal: 2,
      connectionsRefusedTotal: 0,
      loginFailuresTotal: 0,
      requestsTotal: new Map([["Fetch", 3]]),
      fetchesParked: 0,
      fetchSessions: 0,
      fetchSessionPartitions: 0,
      bytesInTotal: 4,
      bytesOutTotal: 5,
    }),
  },
  addresses: () => ({ kafka: "127.0.0.1:9092" }),
  failure: () => undefined,
};

async function start(t: TestContext, over: Partial<HubHttpParts> = {}) {
  const options = { host: "127.0.0.1", port: 0 };
  const server = new HubHttpServer({
    ...sources,
    logger: silentLogger(),
    onUplink: (_request, socket) => socket.destroy(),
    options,
    ...over,
  });
  const { port } = await server.start();
  onCleanUp(t, () => server.close());
  return { server, url: `http://127.0.0.1:${port}`, port };
}

test("hub http: /status tells topics, offsets, groups with lag, and agents", async (t) => {
  const { url } = await start(t);
  const status = (await (await fetch(`${url}/status`)).json()) as Record<string, unknown>;
  assert.equal(status["clusterId"], "abc");
  assert.deepEqual(status["topics"], [
    {
      topic: "readings",
      partitions: [
        { partition: 0, logStartOffset: 10, highWatermark: 50, bytes: 400 },
        { partition: 1, logStartOffset: 10, highWatermark: 10, bytes: 400 },
      ],
      config: {},
    },
  ]);
  assert.deepEqual(status["groups"], [
    { group: "<b>g</b>", state: "Stable", protocolType: "consumer", members: 1, lag: 5 },
  ]);
  assert.deepEqual(status["agents"], [
    { agent: "gateway-1", producer: "77", isConnected: true, declaredLost: { overflow: 5, corrupt: 1 } },
  ]);
  assert.deepEqual(status["losses"], [
    { topic: "readings", reason: "overflow", records: 105 },
    { topic: "readings", reason: "corrupt", records: 1 },
  ]);
  assert.deepEqual((status["kafka"] as { requestsTotal: unknown }).requestsTotal, { Fetch: 3 });
});

test("hub http: /losses lists the ledger's newest entries", async (t) => {
  const { url } = await start(t);
  const entries = await (await fetch(`${url}/losses`)).json();
  assert.deepEqual(entries, [{ agent: "gateway-1", producer: "4611686018427387904", records: 1000 }]);
});

test("hub http: /metrics has every row of the table", async (t) => {
  const { url } = await start(t);
  const text = await (await fetch(`${url}/metrics`)).text();
  for (const [name, { help, type }] of Object.entries(hubMetrics)) {
    assert.ok(text.includes(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`), name);
  }
  assert.match(text, /^hub_log_high_watermark_records\{topic="readings",partition="0"\} 50$/m);
  assert.match(text, /^hub_kafka_requests_total\{api="Fetch"\} 3$/m);
});

test("hub http: /healthz says ok, or 503 with the reason", async (t) => {
  assert.equal((await fetch(`${(await start(t)).url}/healthz`)).status, 200);
  const failure = () => ({ code: "LOG_IO", message: "disk" });
  const ill = await fetch(`${(await start(t, { failure })).url}/healthz`);
  assert.deepEqual([ill.status, await ill.json()], [503, { status: "failed", code: "LOG_IO", message: "disk" }]);
});

test("hub http: the front page shows addresses and links, and names from outside are escaped", async (t) => {
  const { url } = await start(t);
  const response = await fetch(url);
  const page = await response.text();
  assert.match(response.headers.get("content-type") ?? "", /^text\/html/);
  assert.ok(page.includes("127.0.0.1:9092") && page.includes('href="/status"'));
  assert.ok(page.includes("&lt;b&gt;g&lt;/b&gt;") && !page.includes("<b>g"));
  assert.doesNotMatch(page, /<script|<style|style=/);
});

test("hub http: a WebSocket on /uplink reaches the uplink, anywhere else it is refused", async (t) => {
  const webSockets = new WebSocketServer({ noServer: true });
  onCleanUp(t, () => webSockets.close());
  const { port } = await start(t, {
    onUplink: (request, socket, head) =>
      webSockets.handleUpgrade(request, socket, head, (client) => client.send("welcome")),
  });
  const agent = new WebSocket(`ws://127.0.0.1:${port}/uplink`);
  const [message] = (await once(agent, "message")) as [Buffer];
  assert.equal(message.toString(), "welcome");
  agent.terminate();
  const lost = new WebSocket(`ws://127.0.0.1:${port}/elsewhere`);
  const [error] = (await once(lost, "error")) as [Error];
  assert.match(error.message, /404/);
});
