/** Records as they come over a WebSocket: free, and as members of a consumer group. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { WebSocket } from "ws";
import { onCleanUp } from "../../../support/clean-up.ts";
import { startGroupReader } from "../../../support/group-reader.ts";
import { HttpClient } from "../../../support/http-client.ts";
import { startHub } from "../../../support/programs.ts";
import type { HubProgram } from "../../../support/programs.ts";
import { waitUntil } from "../../../support/wait-until.ts";

const DEADLINE_MS = 30_000;
const PARTITIONS = 4;

type Seen = { readonly partition: number; readonly offset: number; readonly value: number };
type Message = {
  readonly type: string;
  readonly records?: readonly Seen[];
  readonly partitions?: readonly Seen[];
} & Record<string, unknown>;

async function startTopic(t: TestContext) {
  // A member that went without a word is missed soon.
  const groups = { consumerSessionTimeoutMs: 2000, consumerHeartbeatIntervalMs: 200 };
  const hub = await startHub(t, { config: { groups } });
  const api = await HttpClient.open(`http://127.0.0.1:${hub.httpPort}`);
  await api.ask("/topics", { body: { topic: "t", partitionCount: PARTITIONS } });
  let sent = 0;
  const produce = async (count: number): Promise<void> => {
    const records = Array.from({ length: count }, () => ({ key: `k${sent % 40}`, value: sent++ }));
    assert.equal((await api.ask("/topics/t/records", { body: { records } })).status, 200);
  };
  return { hub, api, produce };
}

class Reader {
  readonly socket: WebSocket;
  readonly seen: Seen[] = [];
  readonly messages: Message[] = [];
  /** Acknowledges each piece of records as a whole. */
  readonly #acks: boolean;

  constructor(t: TestContext, hub: HubProgram, subscription: object, { acks = true }: { acks?: boolean } = {}) {
    this.#acks = acks;
    this.socket = new WebSocket(`ws://127.0.0.1:${hub.httpPort}/api/v1/live`);
    onCleanUp(t, () => this.socket.terminate());
    this.socket.on("error", () => undefined);
    this.socket.on("open", () => this.send({ type: "subscribe", ...subscription }));
    this.socket.on("message", (data) => this.#take(JSON.parse((data as Buffer).toString()) as Message));
  }

  send(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  count(type: string): number {
    return this.messages.filter((each) => each.type === type).length;
  }

  #take(message: Message): void {
    this.messages.push(message);
    if (message.type !== "records") return;
    this.seen.push(...(message.records ?? []));
    const last = message.records?.at(-1);
    if (this.#acks && last !== undefined)
      this.send({ type: "ack", topic: "t", partition: last.partition, offset: last.offset });
  }
}

const waitFor = (what: string, isSo: () => boolean | Promise<boolean>): Promise<unknown> =>
  waitUntil(isSo, { what, deadlineMs: DEADLINE_MS });
const valuesOf = (seen: readonly Seen[]): number[] => seen.map(({ value }) => value).toSorted((a, b) => a - b);
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

suite("live over a WebSocket", () => {
  test("a free reader follows from where it says, and goes on from its cursor", async (t) => {
    const { hub, produce } = await startTopic(t);
    await produce(50);
    const first = new Reader(t, hub, { topic: "t", from: "earliest" }, { acks: false });
    await waitFor("what is there", () => first.seen.length === 50);
    await produce(10);
    await waitFor("what comes", () => first.seen.length === 60);
    first.socket.terminate();
    await produce(10);
    const cursor = first.messages.findLast((each) => each.type === "records")?.["cursor"];
    const second = new Reader(t, hub, { topic: "t", cursor }, { acks: false });
    await waitFor("the rest", () => second.seen.length === 10);
    assert.deepEqual(valuesOf([...first.seen, ...second.seen]), upTo(70));
  });

  test("members of a group share the partitions; what a member acknowledged is not seen again when it is gone", async (t) => {
    const { hub, api, produce } = await startTopic(t);
    const subscription = { group: "g", topics: ["t"], from: "earliest" };
    const first = new Reader(t, hub, subscription);
    await produce(200);
    await waitFor("all at the only member", () => first.seen.length === 200);
    const second = new Reader(t, hub, subscription);
    await waitFor("half of the partitions", () => second.count("assigned") > 0 && first.count("revoked") > 0);
    await produce(200);
    await waitFor("all at both", () => first.seen.length + second.seen.length === 400);
    assert.ok(second.seen.length > 0);
    const lag = async (): Promise<number> => (await api.ask("/groups/g")).body.lag as number;
    await waitFor("everything acknowledged", async () => (await lag()) === 0);
    first.socket.close();
    await once(first.socket, "close");
    await waitFor("one member", async () => (await api.ask("/groups/g")).body.members === 1);
    await produce(100);
    await waitFor("the rest at the one that is left", () => first.seen.length + second.seen.length === 500);
    assert.deepEqual(valuesOf([...first.seen, ...second.seen]), upTo(500));
  });

  test("at most so many are not acknowledged, and those come again to whoever is next", async (t) => {
    const { hub, produce } = await startTopic(t);
    await produce(3000);
    const subscription = { group: "g", topics: ["t"], from: "earliest", window: 100 };
    const first = new Reader(t, hub, subscription, { acks: false });
    await waitFor("the window", () => first.seen.length >= 100);
    await produce(1);
    const held = first.seen.length;
    const [record] = first.seen as [Seen];
    first.send({ type: "ack", topic: "t", partition: record.partition, offset: record.offset });
    await waitFor("the commit", () => first.count("acked") === 1);
    assert.equal(first.seen.length, held, "one piece beyond the window at the most");
    first.socket.terminate();
    const second = new Reader(t, hub, { ...subscription, window: 10_000 });
    await waitFor("all but what was acknowledged", () => second.seen.length === 3000);
    assert.ok(!second.seen.some(({ partition, offset }) => partition === record.partition && offset === record.offset));
  });

  test("over a kill of the hub nothing is missing, and only what was not acknowledged is seen again", async (t) => {
    const { hub, produce } = await startTopic(t);
    const subscription = { group: "g", topics: ["t"], from: "earliest" };
    const first = new Reader(t, hub, subscription);
    await produce(300);
    await waitFor("some acknowledged", () => first.count("acked") > 0 && first.seen.length === 300);
    const acked = new Map<number, number>();
    for (const message of first.messages) {
      if (message.type === "acked") acked.set(message["partition"] as number, message["offset"] as number);
    }
    await hub.kill9();
    await hub.start();
    const second = new Reader(t, hub, subscription);
    await produce(100);
    const seen = (): number[] => [...new Set(valuesOf([...first.seen, ...second.seen]))];
    await waitFor("the new ones", () => seen().length === 400);
    assert.deepEqual(seen(), upTo(400));
    assert.ok(second.seen.every(({ partition, offset }) => offset > (acked.get(partition) ?? -1)));
  });

  test("a group that has members of the older protocol says so", async (t) => {
    const { hub, api } = await startTopic(t);
    await startGroupReader(t, { address: hub.kafkaAddress, group: "g", topic: "t" });
    await waitFor("the member", async () => (await api.ask("/groups/g")).body.members === 1);
    const reader = new Reader(t, hub, { group: "g", topics: ["t"] });
    await once(reader.socket, "close");
    assert.match(JSON.stringify(reader.messages), /INCONSISTENT_GROUP_PROTOCOL.*older protocol/);
  });

  test("pages of others, messages that are none, topics that are not there", async (t) => {
    const { hub } = await startTopic(t);
    const stranger = new WebSocket(`ws://127.0.0.1:${hub.httpPort}/api/v1/live`, {
      origin: "https://elsewhere.example",
    });
    const [, response] = (await once(stranger, "unexpected-response")) as [unknown, { statusCode: number }];
    assert.equal(response.statusCode, 403);
    for (const subscription of [
      { topic: "none" },
      { topic: "t", cursor: "0:7" },
      { nothing: true },
      { group: "g", topics: ["none"] },
    ]) {
      const reader = new Reader(t, hub, subscription);
      await once(reader.socket, "close");
      assert.equal(reader.count("problem"), 1, JSON.stringify(subscription));
    }
    const twice = new Reader(t, hub, { topic: "t" });
    await waitFor("the subscription", () => twice.count("subscribed") === 1);
    twice.send({ type: "ack", topic: "t", partition: 0, offset: 0 });
    await once(twice.socket, "close");
    assert.match(JSON.stringify(twice.messages.at(-1)), /only members of a group acknowledge/);
  });
});
