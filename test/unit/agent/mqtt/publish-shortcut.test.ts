import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import type { Client } from "aedes";
import mqttPacket from "mqtt-packet";
import type { IPublishPacket } from "mqtt-packet";
import { PublishShortcut } from "../../../../agent/mqtt/publish-shortcut.ts";
import type { LocalMessage, ShortcutPorts } from "../../../../agent/mqtt/publish-shortcut.ts";

const PING = Buffer.of(0xc0, 0);

const publish = (text: string, packet: Partial<IPublishPacket> = {}): Buffer => {
  const whole = { cmd: "publish", topic: "t", payload: text, qos: 1, dup: false, retain: false } as const;
  return mqttPacket.generate({ messageId: Number(text), ...whole, ...packet });
};

const puback = (messageId: number): Buffer => mqttPacket.generate({ cmd: "puback", messageId });

/** aedes' client as far as it counts here, a sink that answers when it is told to, and what came of everything. */
function start(ports: Partial<ShortcutPorts> = {}) {
  const parsed: Buffer[] = [];
  const written: Buffer[] = [];
  const taken: string[] = [];
  const heard: LocalMessage[] = [];
  const failures: Error[] = [];
  const drains: ((error?: Error | null) => void)[] = [];
  const dones: ((error?: Error | null) => void)[] = [];
  let reads = 0;
  const client = {
    id: "sensor",
    connected: true,
    connackSent: true,
    closed: false,
    _parser: { parse: (chunk: Buffer) => void parsed.push(chunk), _queue: null as unknown[] | null },
    _parsingBatch: 0,
    _nextBatch: (error?: Error | null): void => {
      if (error != null) {
        failures.push(error);
        client.closed = true;
        return;
      }
      client._parsingBatch--;
      if (client._parsingBatch > 0) return;
      client._parsingBatch = 0;
      reads++;
    },
    _keepaliveInterval: -1,
    _keepaliveTimer: null,
    waitForDrain: (callback: (error?: Error | null) => void) => void drains.push(callback),
  };
  const socket = new PassThrough({ highWaterMark: 64 });
  const write = socket.write.bind(socket);
  socket.write = (chunk: Buffer): boolean => {
    written.push(chunk);
    return write(chunk);
  };
  const shortcut = new PublishShortcut(client as unknown as Client, socket, {
    isTopicPlain: () => true,
    isHeard: () => false,
    toSink: ({ payload }, done) => {
      taken.push(payload.toString());
      dones.push(done);
    },
    paced: (done) => done,
    publish: (message, done) => {
      heard.push(message);
      done();
    },
    ...ports,
  });
  const receive = (...packets: Buffer[]): void => client._parser.parse(Buffer.concat(packets));
  const answer = (count: number, error?: Error): void => {
    for (const done of dones.splice(0, count)) done(error);
  };
  return { client, shortcut, parsed, written, taken, heard, failures, drains, receive, answer, readCount: () => reads };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("publish shortcut: past the parser to the sink; the PUBACKs of one turn are one write, in order", async () => {
  const { receive, answer, taken, parsed, written, readCount } = start();
  receive(publish("1"), publish("2"), publish("3"));
  assert.deepEqual([taken, parsed], [["1", "2", "3"], []]);
  answer(2);
  assert.deepEqual(written, []);
  await turn();
  assert.deepEqual(written, [Buffer.concat([puback(1), puback(2)])]);
  assert.equal(readCount(), 0);
  answer(1);
  await turn();
  assert.deepEqual(written[1], puback(3));
  assert.equal(readCount(), 1);
});

test("publish shortcut: answers that come at once have nothing read before the chunk is through", async () => {
  const order: string[] = [];
  const { client, receive, readCount } = start({
    toSink: ({ payload }, done) => {
      done();
      order.push(payload.toString());
      assert.equal(readCount(), 0);
    },
  });
  receive(publish("1", { qos: 0 }), publish("2", { qos: 0 }), PING, publish("3", { qos: 0 }));
  assert.deepEqual([order, readCount()], [["1", "2", "3"], 0]);
  await turn();
  assert.deepEqual([readCount(), client._parsingBatch], [1, 0]);
});

test("publish shortcut: what is for the parser goes there in its place, wherever the chunks are cut", () => {
  const retained = publish("4", { retain: true });
  const sent = [publish("1"), PING, publish("2"), retained, PING, publish("3"), PING];
  const bytes = Buffer.concat(sent);
  for (let at = 1; at < bytes.length; at++) {
    const order: string[] = [];
    const { parsed, receive } = start({ toSink: ({ payload }) => void order.push(payload.toString()) });
    receive(bytes.subarray(0, at));
    receive(bytes.subarray(at));
    // A packet that is cut is the parser's.
    const rest = Buffer.concat(parsed);
    const whole = sent.filter((packet) => !order.some((text) => packet.equals(publish(text))));
    assert.deepEqual(rest, Buffer.concat(whole), `cut at ${at}`);
    assert.ok(order.length >= 2, `cut at ${at}: ${order.join()}`);
  }
});

test("publish shortcut: until the client has its CONNACK and aedes has gone through what came before, all is aedes'", () => {
  for (const state of [{ connected: false }, { connackSent: false }, { queue: [1] }]) {
    const { client, receive, parsed, taken } = start();
    const { queue = null, ...flags } = state as { queue?: number[] };
    Object.assign(client, flags);
    client._parser._queue = queue;
    receive(publish("1"), publish("2"));
    assert.deepEqual([taken, Buffer.concat(parsed)], [[], Buffer.concat([publish("1"), publish("2")])]);
  }
});

test("publish shortcut: a message that fails ends the connection, and what follows it is not taken", async () => {
  const error = new Error("disk");
  const failing = start({ toSink: (_, done) => done(error) });
  failing.receive(publish("1"), publish("2"), PING);
  await turn();
  assert.deepEqual([failing.failures, failing.written, failing.parsed], [[error], [], []]);
});

test("publish shortcut: nothing is written to a connection that has ended", async () => {
  const { client, receive, answer, written } = start();
  receive(publish("1"));
  client.connected = false;
  answer(1);
  await turn();
  assert.deepEqual(written, []);
});

test("publish shortcut: a client that does not read its PUBACKs is read no further until it does, or is given up", async () => {
  const { receive, answer, drains, readCount, failures } = start();
  const many = Array.from({ length: 20 }, (_, index) => publish(String(index + 1)));
  receive(...many);
  answer(20);
  await turn();
  assert.deepEqual([drains.length, readCount()], [1, 0]);
  drains[0]!(null);
  assert.equal(readCount(), 1);
  receive(publish("21"));
  answer(1);
  await turn();
  const error = new Error("drain timeout");
  drains[1]!(error);
  assert.deepEqual(failures, [error]);
});

test("publish shortcut: local subscribers get their copies after the PUBACK, in order, and hold back the publisher", async () => {
  const taking: (() => void)[] = [];
  const { receive, answer, heard, written, readCount } = start({
    isHeard: (topic) => topic === "heard",
    publish: (message, done) => {
      heard.push(message);
      taking.push(() => done());
    },
  });
  receive(publish("1", { topic: "heard" }), publish("2"), publish("3", { topic: "heard", dup: true }));
  answer(3);
  await turn();
  await turn();
  assert.equal(written.length, 1);
  assert.deepEqual(
    heard.map(({ payload, messageId, dup }) => [payload.toString(), messageId, dup]),
    [
      ["1", 1, false],
      ["3", 3, true],
    ],
  );
  assert.equal(readCount(), 0);
  for (const take of taking) take();
  assert.equal(readCount(), 1);
  receive(publish("4", { topic: "heard", qos: 0 }));
  answer(1);
  assert.equal(heard.length, 3);
});

test("publish shortcut: flush writes what is answered before the turn ends", async () => {
  const { shortcut, receive, answer, written } = start();
  receive(publish("1"), publish("2"));
  answer(1);
  shortcut.flush();
  assert.deepEqual(written, [puback(1)]);
  answer(1);
  await turn();
  assert.deepEqual(written, [puback(1), puback(2)]);
});

test("publish shortcut: each chunk with messages refreshes the keep alive", () => {
  const { client, receive } = start();
  let refreshed = 0;
  Object.assign(client, { _keepaliveInterval: 1000, _keepaliveTimer: { refresh: () => refreshed++ } });
  receive(publish("1"), publish("2"));
  assert.equal(refreshed, 1);
});
