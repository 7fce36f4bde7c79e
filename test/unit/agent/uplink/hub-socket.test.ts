import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, LookupFunction } from "node:net";
import test from "node:test";
import type { TestContext } from "node:test";
import { describeStage, HubSocket } from "../../../../agent/uplink/hub-socket.ts";
import type { ConnectStage } from "../../../../agent/uplink/hub-socket.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { waitUntil } from "../../../support/wait-until.ts";

async function listen(t: TestContext): Promise<number> {
  const server = createServer((socket) => socket.resume());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onCleanUp(t, () => server.close());
  return (server.address() as AddressInfo).port;
}

function socketTo(url: string, lookup?: LookupFunction): HubSocket {
  return new HubSocket({ url: new URL(url), connectTimeoutMs: 1000, authorities: undefined, lookup });
}

const stages: { readonly url: string; readonly stage: ConnectStage }[] = [
  { url: "ws://hub.example", stage: "name" },
  { url: "ws://192.0.2.1", stage: "connection" },
  { url: "wss://[2001:db8::1]:443", stage: "connection" },
];

for (const { url, stage } of stages) {
  test(`hub socket: ${url} waits for the ${stage} first`, () => {
    assert.equal(socketTo(url).stage, stage);
  });
}

test("hub socket: the stages follow the socket: name, connection, and what comes after it", async (t) => {
  const port = await listen(t);
  for (const [scheme, last] of [
    ["ws", "upgrade"],
    ["wss", "tls"],
  ] as const) {
    const asked = Promise.withResolvers<() => void>();
    const lookup: LookupFunction = (_name, _options, callback) =>
      asked.resolve(() => callback(null, [{ address: "127.0.0.1", family: 4 }]));
    const hubSocket = socketTo(`${scheme}://hub.example:${port}`, lookup);
    const socket = hubSocket.connect();
    const answer = await asked.promise;
    assert.equal(hubSocket.stage, "name");
    answer();
    await once(socket, "connect");
    assert.equal(hubSocket.stage, last);
    socket.destroy();
  }
});

test("hub socket: a name with several addresses is tried until one answers", async (t) => {
  const port = await listen(t);
  const addresses = ["127.0.0.2", "127.0.0.1"].map((address) => ({ address, family: 4 }));
  const socket = socketTo(`ws://hub.example:${port}`, (_name, _options, callback) =>
    callback(null, addresses),
  ).connect();
  await once(socket, "connect");
  assert.equal(socket.remoteAddress, "127.0.0.1");
  socket.destroy();
});

test("hub socket: what is written is whole at the other end, its memory free once it has left, and who waits is told", async (t) => {
  const received: Buffer[] = [];
  const server = createServer((socket) => socket.on("data", (bytes) => received.push(bytes)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onCleanUp(t, () => server.close());
  const socket = socketTo(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`).connect();
  await once(socket, "connect");
  const sent = Array.from({ length: 40 }, (_, index) => Buffer.alloc(256 * 1024, index));
  let written = 0;
  for (const bytes of sent) socket.write(bytes, () => written++);
  assert.equal(sent.at(-1)?.length, 256 * 1024);
  await new Promise<void>((resolve) => socket.write("the end", "utf8", () => resolve()));
  assert.equal(written, sent.length);
  assert.ok(sent.every(({ length }) => length === 0));
  const ended = once(socket, "close");
  socket.end();
  const total = 40 * 256 * 1024 + 7;
  await waitUntil(() => received.reduce((sum, { length }) => sum + length, 0) === total, {
    what: "all is received",
    deadlineMs: 10_000,
  });
  const expected = [
    ...Array.from({ length: 40 }, (_, index) => Buffer.alloc(256 * 1024, index)),
    Buffer.from("the end"),
  ];
  assert.ok(Buffer.concat(received).equals(Buffer.concat(expected)));
  socket.destroy();
  await ended;
});

test("hub socket: every stage has its words", () => {
  const texts = (["name", "connection", "tls", "upgrade", "welcome"] as const).map(describeStage);
  assert.equal(new Set(texts).size, 5);
});
