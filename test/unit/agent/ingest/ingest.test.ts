import assert from "node:assert/strict";
import { test } from "node:test";
import { DuplicateWindow } from "../../../../agent/ingest/duplicate-window.ts";
import type { StoredBlock } from "../../../../agent/ingest/duplicate-window-blocks.ts";
import { partitionForKey } from "../../../../shared/batch/partitioner.ts";
import { StreamError } from "../../../../shared/errors.ts";
import { ManualLog } from "./manual-log.ts";
import { full, start, turn } from "./start-ingest.ts";

test("ingest: QoS 1 and 2 are answered when their commit is durable, in the order of the messages", async (t) => {
  const { log, ingest } = await start(t);
  const order: number[] = [];
  for (let id = 1; id <= 4; id++) {
    const qos = id % 2 === 0 ? 1 : 2;
    const message = { clientId: "c", topic: `t/${id}`, payload: Buffer.from("x"), qos, retain: false } as const;
    ingest.publish({ ...message, dup: false, messageId: id }, () => order.push(id));
  }
  const part = log.take();
  assert.deepEqual(order, []);
  log.succeed(part!);
  assert.deepEqual(order, [1, 2, 3, 4]);
  assert.equal(log.records("mqtt").length, 4);
});

test("ingest: QoS 0 is answered at once and stored with the next commit", async (t) => {
  const { log, publish, answers } = await start(t);
  publish({ qos: 0, messageId: undefined });
  assert.deepEqual(answers, ["ok"]);
  assert.deepEqual(log.values("mqtt"), []);
  log.commit();
  assert.deepEqual(log.values("mqtt"), ["21.5"]);
});

test("ingest: many messages ask the log once for a commit", async (t) => {
  const { log, publish } = await start(t);
  for (let id = 1; id <= 10; id++) publish({ messageId: id });
  assert.equal(log.requests, 1);
  log.commit();
  publish({ messageId: 11 });
  assert.equal(log.requests, 2);
});

test("ingest: a record has key, headers, payload and the time of its arrival", async (t) => {
  const routes = [{ match: "s/{site}", topic: "readings", key: "{site}", headers: { unit: "c" } }];
  const { log, publish, pass } = await start(t, { routes });
  publish({ topic: "s/berlin", payload: "one", retain: true });
  pass(5);
  publish({ topic: "s/berlin", payload: "two", qos: 0, messageId: undefined });
  log.commit();
  const [one, two] = log.records("readings");
  assert.equal(one?.key?.toString(), "berlin");
  assert.equal(one?.value?.toString(), "one");
  assert.equal(one?.timestamp, 1_000_000);
  assert.equal(two?.timestamp, 1_000_005);
  const headers = one?.headers.map(({ key, value }) => [key, value?.toString()]);
  assert.deepEqual(headers, [
    ["mqtt.topic", "s/berlin"],
    ["mqtt.qos", "1"],
    ["mqtt.retain", "true"],
    ["unit", "c"],
  ]);
  assert.equal(two?.headers[1]?.value?.toString(), "0");
});

test("ingest: the payload is copied, its memory may be used again at once", async (t) => {
  const { log, ingest } = await start(t);
  const payload = Buffer.from("before");
  const message = { clientId: "c", topic: "a", qos: 1, retain: false, dup: false, messageId: 1 } as const;
  ingest.publish({ ...message, payload }, () => {});
  payload.fill("x");
  log.commit();
  assert.deepEqual(log.values("mqtt"), ["before"]);
});

test("ingest: a key goes where Kafka's clients look for it; without a key, partitions take turns", async (t) => {
  const routes = [
    { match: "k/{key}", topic: "keyed", key: "{key}" },
    { match: "r/#", topic: "spread" },
  ];
  const { log, publish } = await start(t, { routes });
  for (let id = 1; id <= 8; id++) publish({ topic: `k/${id}`, messageId: id });
  for (let id = 11; id <= 18; id++) publish({ topic: "r/x", messageId: id });
  const part = log.take()!;
  for (const { partition, records } of part.appends) {
    if (partition.topic === "spread") assert.equal(records.recordCount, 2);
  }
  log.succeed(part);
  const count = Array.from({ length: 8 }, (_, i) => partitionForKey(Buffer.from(String(i + 1)), 4));
  for (const partition of [0, 1, 2, 3]) {
    assert.equal(log.partition("keyed", partition).logEndOffset, count.filter((each) => each === partition).length);
    assert.equal(log.partition("spread", partition).logEndOffset, 2);
  }
});

test("ingest: a failed commit answers everyone with its error; nobody gets an acknowledgement", async (t) => {
  const { log, ingest, publish, answers, ledger } = await start(t);
  publish({ messageId: 1 });
  publish({ messageId: 2, qos: 2 });
  publish({ qos: 0, messageId: undefined });
  log.take()!.failed(new StreamError("LOG_FULL", "disk"));
  assert.deepEqual(answers, ["ok", "LOG_FULL", "LOG_FULL"]);
  assert.equal(ingest.stats().uncommittedMessages, 0);
  assert.deepEqual(ledger.counts(), []);
  log.commit();
  assert.deepEqual(ledger.counts(), [{ topic: "mqtt", reason: "overflow", records: 1 }]);
});

test("ingest: what came while a commit was on its way fails with it, or it would be stored before what is sent again", async (t) => {
  const { log, ingest, publish, answers, ledger } = await start(t);
  publish({ messageId: 1 });
  const part = log.take();
  publish({ messageId: 2 });
  publish({ messageId: 3, qos: 2 });
  publish({ qos: 0, messageId: undefined });
  part!.failed(new StreamError("LOG_FULL", "disk"));
  assert.deepEqual(answers, ["ok", "LOG_FULL", "LOG_FULL", "LOG_FULL"]);
  assert.equal(ingest.stats().uncommittedMessages, 0);
  publish({ messageId: 1, dup: true, payload: "again" });
  log.commit();
  assert.deepEqual(
    log.records("mqtt").map(({ value }) => value!.toString()),
    ["again"],
  );
  assert.deepEqual(ledger.counts(), [{ topic: "mqtt", reason: "overflow", records: 1 }]);
});

for (const from of ["an answer", "the gate that opens"]) {
  test(`ingest: what is published from within ${from} of a failing commit is stored with the next one, or not acknowledged`, async (t) => {
    const { log, ingest, publish, answers } = await start(t);
    const again = (): void => publish({ messageId: 3, payload: "from within" });
    let isTold = false;
    const once = (): void => {
      if (!isTold) again();
      isTold = true;
    };
    const message = { clientId: "d", topic: "a/b", qos: 1, retain: false, dup: false, messageId: 1 } as const;
    ingest.publish({ ...message, payload: Buffer.from("1") }, from === "an answer" ? once : () => {});
    const part = log.take();
    publish({ messageId: 2, payload: "2" });
    if (from !== "an answer") ingest.onRoom(once);
    part!.failed(new StreamError("LOG_FULL", "disk"));
    assert.deepEqual(answers, ["LOG_FULL"]);
    log.commit();
    assert.deepEqual(answers, ["LOG_FULL", "ok"]);
    assert.deepEqual(log.values("mqtt"), ["from within"]);
    assert.equal(ingest.stats().committedRecords, 1);
  });
}

test("ingest: nobody is let in before all that failed is answered", async (t) => {
  const { log, ingest, publish, answers } = await start(t);
  publish({ messageId: 1 });
  const part = log.take();
  publish({ messageId: 2 });
  const heard: number[] = [];
  ingest.onRoom(() => heard.push(answers.length));
  part!.failed(new StreamError("LOG_FULL", "disk"));
  assert.deepEqual(heard, [2]);
});

test("ingest: what comes while a commit is on its way goes with the next one", async (t) => {
  const { log, publish, answers } = await start(t);
  publish({ messageId: 1, payload: "1" });
  const first = log.take()!;
  publish({ messageId: 2, payload: "2" });
  // The log takes the next commit before it answers the one before.
  const second = log.take()!;
  log.succeed(first);
  assert.deepEqual(answers, ["ok"]);
  log.succeed(second);
  assert.deepEqual(answers, ["ok", "ok"]);
  assert.deepEqual(log.values("mqtt"), ["1", "2"]);
});

test("ingest: a commit is flushed when any route in it wants that, and only then", async (t) => {
  const routes = [{ match: "fast/#", topic: "fast", durability: "os" as const }];
  const { log, publish } = await start(t, { routes });
  publish({ topic: "fast/a" });
  log.commit();
  publish({ topic: "fast/a", messageId: 2 });
  publish({ topic: "slow", messageId: 3 });
  log.commit();
  assert.deepEqual(log.durabilities, ["os", "fsync"]);
});

test("ingest: a large commit is cut into batches that fit the uplink, in order", async (t) => {
  const { log, publish } = await start(t);
  for (let id = 1; id <= 6; id++) publish({ messageId: id, payload: String(id).repeat(400_000) });
  const part = log.take()!;
  assert.ok(part.appends.length > 1);
  for (const { records } of part.appends) assert.ok(records.bytes < 2 * 1024 * 1024);
  log.succeed(part);
  assert.deepEqual(
    log.values("mqtt").map((value) => value?.[0]),
    ["1", "2", "3", "4", "5", "6"],
  );
});

test("ingest: in a small log no record may be larger than a commit may be", async (t) => {
  const { publish, answers } = await start(t, { capBytes: 160_000 });
  publish({ payload: "x".repeat(10_001) });
  assert.deepEqual(answers, ["MESSAGE_TOO_LARGE"]);
});

test("ingest: a record over the limit is refused with the limit's name", async (t) => {
  const { publish, answers, ingest } = await start(t, { limits: { recordBytesMax: 100 } });
  publish({ payload: "x".repeat(101) });
  assert.deepEqual(answers, ["MESSAGE_TOO_LARGE"]);
  assert.equal(ingest.stats().refusedMessages, 1);
});

test("qos 2: the identifier is in the commit of its record; the same PUBLISH again is answered, not stored", async (t) => {
  const { log, publish, answers } = await start(t);
  publish({ qos: 2, messageId: 9 });
  log.commit();
  assert.deepEqual(log.calls, [{ extension: "qos2", method: "insert", args: [["c", 9]] }]);
  publish({ qos: 2, messageId: 9, dup: true });
  assert.deepEqual(answers, ["ok", "ok"]);
  log.commit();
  assert.equal(log.records("mqtt").length, 1);
});

test("qos 2: a repetition while the commit is on its way hears of that commit's outcome", async (t) => {
  const { log, publish, answers } = await start(t);
  publish({ qos: 2, messageId: 9 });
  const part = log.take()!;
  publish({ qos: 2, messageId: 9, dup: true });
  assert.equal(log.take(), undefined);
  assert.deepEqual(answers, []);
  part.failed(new StreamError("LOG_IO", "disk"));
  assert.deepEqual(answers, ["LOG_IO", "LOG_IO"]);
  publish({ qos: 2, messageId: 9, dup: true });
  log.commit();
  assert.equal(log.records("mqtt").length, 1);
});

test("qos 1: DUP of a stored message is answered and not stored again", async (t) => {
  const { log, publish, answers, ingest } = await start(t);
  for (let messageId = 101; messageId <= 110; messageId++) publish({ messageId });
  log.commit();
  publish({ messageId: 110, dup: true });
  assert.equal(answers.length, 11);
  log.commit();
  assert.equal(log.records("mqtt").length, 10);
  assert.equal(ingest.stats().duplicateMessages, 1);
});

test("qos 1: DUP of a message on its way waits for that commit", async (t) => {
  const { log, publish, answers } = await start(t);
  publish({ messageId: 7 });
  const part = log.take()!;
  publish({ messageId: 7, dup: true });
  assert.deepEqual(answers, []);
  log.succeed(part);
  assert.deepEqual(answers, ["ok", "ok"]);
});

test("qos 1: DUP after the commit failed is a new message", async (t) => {
  const { log, publish, answers } = await start(t);
  publish({ messageId: 7 });
  log.take()!.failed(new StreamError("LOG_FULL", "disk"));
  publish({ messageId: 7, dup: true });
  log.commit();
  assert.deepEqual(answers, ["LOG_FULL", "ok"]);
  assert.equal(log.records("mqtt").length, 1);
});

test("qos 1: DUP with another topic or payload is a new message", async (t) => {
  const { log, publish } = await start(t);
  publish({ messageId: 7, topic: "a" });
  publish({ messageId: 7, topic: "b", dup: true });
  log.commit();
  assert.equal(log.records("mqtt").length, 2);
});

test("qos 1: what was stored is known to the next run, from the very commit that stored it", async (t) => {
  const first = await start(t, { duplicates: new DuplicateWindow([]) });
  for (let messageId = 101; messageId <= 110; messageId++) first.publish({ messageId });
  first.log.commit();
  first.publish({ messageId: 111 });
  first.log.take()!.failed(new StreamError("LOG_FULL", "disk"));
  const stored = first.log.calls.filter(({ extension }) => extension === "duplicates").map(({ args }) => args);
  assert.equal(stored.length, 1);

  const second = await start(t, { duplicates: new DuplicateWindow(stored[0] as StoredBlock[]) });
  second.publish({ messageId: 110, dup: true });
  assert.deepEqual(second.answers, ["ok"]);
  second.publish({ messageId: 111, dup: true });
  second.log.commit();
  assert.equal(second.log.records("mqtt").length, 1);
  assert.equal(second.ingest.stats().duplicateMessages, 1);
});

test("qos 1: in the second new session after a message, DUP is believed no more", async (t) => {
  const { log, publish, ingest } = await start(t);
  for (let messageId = 101; messageId <= 110; messageId++) publish({ messageId });
  log.commit();
  ingest.beginSession("c");
  ingest.beginSession("c");
  publish({ messageId: 110, dup: true });
  log.commit();
  assert.equal(log.records("mqtt").length, 11);
});

test("qos 1: a message that never arrived the first time is stored although it says DUP", async (t) => {
  const { log, publish } = await start(t);
  publish({ messageId: 7, dup: true });
  log.commit();
  assert.equal(log.records("mqtt").length, 1);
});

test("topics: one is made on first use with the route's partitions, and its messages wait in order", async (t) => {
  const routes = [{ match: "#", topic: "new", key: "k", partitions: 2 }];
  const { log, publish, answers, ingest } = await start(t, { routes });
  publish({ messageId: 1, payload: "1" });
  publish({ messageId: 2, payload: "2", qos: 2 });
  publish({ qos: 0, messageId: undefined, payload: "3" });
  assert.deepEqual(answers, ["ok"]);
  assert.equal(ingest.stats().waitingMessages, 3);
  await turn();
  assert.equal(ingest.stats().waitingMessages, 0);
  assert.equal(log.topics.get("new")?.partitions.length, 2);
  log.commit();
  assert.deepEqual(log.values("new"), ["1", "2", "3"]);
  assert.deepEqual(answers, ["ok", "ok", "ok"]);
  assert.equal(ingest.stats().receivedMessages, 3);
});

test("topics: the hub's partition count goes before the route's", async (t) => {
  const routes = [{ match: "#", topic: "new", partitions: 2 }];
  const { log, publish } = await start(t, { routes, partitionCountOf: () => 7 });
  publish();
  await turn();
  assert.equal(log.topics.get("new")?.partitions.length, 7);
});

test("topics: one that cannot be made refuses who waits, counts QoS 0, and is tried again", async (t) => {
  const log = new ManualLog();
  const { publish, answers, ledger } = await start(t, { routes: [{ match: "#", topic: "new" }] }, log);
  log.createFailure = new StreamError("LOG_FULL", "disk");
  publish({ messageId: 1 });
  publish({ qos: 0, messageId: undefined });
  await turn();
  assert.deepEqual(answers, ["ok", "LOG_FULL"]);
  log.commit();
  assert.deepEqual(ledger.counts(), [{ topic: "new", reason: "overflow", records: 1 }]);
  log.createFailure = undefined;
  publish({ messageId: 2 });
  await turn();
  log.commit();
  assert.deepEqual(answers, ["ok", "LOG_FULL", "ok"]);
});

test("topics: one that somebody else makes at the same moment is used", async (t) => {
  const log = new ManualLog();
  const { publish, answers } = await start(t, { routes: [{ match: "#", topic: "new" }] }, log);
  log.createGate = turn();
  publish();
  log.topics.set("new", { name: "new", id: Buffer.alloc(16), partitions: [], config: {} });
  await log.createPartitions("new", 3);
  await turn();
  await turn();
  log.commit();
  assert.deepEqual(answers, ["ok"]);
});

test("topics: the queue before one is made is bounded: QoS 0 is counted, the rest refused", async (t) => {
  const routes = [{ match: "#", topic: "new" }];
  const { log, publish, answers, ledger } = await start(t, { routes, limits: { waitingMessagesMax: 2 } });
  for (let id = 1; id <= 3; id++) publish({ messageId: id });
  publish({ qos: 0, messageId: undefined });
  assert.deepEqual(answers, ["OVERLOADED", "ok"]);
  log.commit();
  assert.deepEqual(ledger.counts(), [{ topic: "new", reason: "overload", records: 1 }]);
  await turn();
  log.commit();
  assert.equal(log.records("new").length, 2);
});

test("topics: one that grew spreads over its new partitions after the next commit", async (t) => {
  const { log, publish } = await start(t, { routes: [{ match: "#", topic: "spread" }] });
  publish({ messageId: 1 });
  await log.createPartitions("spread", 6);
  log.commit();
  for (let id = 2; id <= 13; id++) publish({ messageId: id });
  log.commit();
  assert.ok(log.partition("spread", 5).logEndOffset > 0);
});

test("topics: beyond the limit, new ones that devices name go to mqtt", async (t) => {
  const log = new ManualLog();
  for (let i = 0; i < 1000; i++) await log.createTopic({ name: `t${i}`, partitionCount: 1 });
  const { publish, answers } = await start(t, { routes: [{ match: "{x}", topic: "new{x}", key: "k" }] }, log);
  publish({ topic: "one" });
  await turn();
  log.commit();
  assert.deepEqual(answers, ["ok"]);
  assert.ok(!log.topics.has("newone"));
  assert.equal(log.records("mqtt").length, 1);
});

test("limits: at them it says so, and that there is room again when the commit has ended, whatever its end", async (t) => {
  const { log, ingest, publish } = await start(t, { limits: { uncommittedMessagesMax: 2 } });
  const seen: boolean[] = [];
  ingest.onRoom(() => seen.push(ingest.isFull));
  publish({ messageId: 1 });
  assert.equal(ingest.isFull, false);
  publish({ messageId: 2 });
  assert.equal(ingest.isFull, true);
  const part = log.take()!;
  assert.equal(ingest.isFull, true);
  log.succeed(part);
  assert.deepEqual(seen, [false]);
  publish({ messageId: 3 });
  publish({ messageId: 4 });
  log.take()!.failed(new StreamError("LOG_FULL", "disk"));
  assert.equal(seen.at(-1), false);
});

test("limits: less may be on its way when others have filled the disk", async (t) => {
  const { ingest, publish } = await start(t, { capBytes: 1024 * 1024, capBytesMax: 1024 * 1024 * 1024 });
  publish({ messageId: 1, payload: "x".repeat(60_000) });
  assert.equal(ingest.isFull, false);
  publish({ messageId: 2, payload: "x".repeat(60_000) });
  assert.equal(ingest.isFull, true);
});

test("limits: at twice the limit, QoS 0 is dropped and counted, and QoS 1 refused", async (t) => {
  const { log, publish, answers, ledger } = await start(t, { limits: { uncommittedMessagesMax: 2 } });
  for (const messageId of [1, 2, 3, 4]) publish({ messageId });
  publish({ qos: 0, messageId: undefined });
  publish({ messageId: 5 });
  assert.deepEqual(answers, ["ok", "OVERLOADED"]);
  log.commit();
  assert.deepEqual(ledger.counts(), [{ topic: "mqtt", reason: "overload", records: 1 }]);
  assert.equal(log.records("mqtt").length, 4);
  publish({ qos: 0, messageId: undefined });
  log.commit();
  assert.equal(log.records("mqtt").length, 5);
});

test("limits: bytes count like messages, and until their commit has ended", async (t) => {
  const { log, publish, ledger } = await start(t, { limits: { uncommittedBytesMax: 500 } });
  publish({ messageId: 1, payload: "x".repeat(450) });
  publish({ messageId: 2, payload: "x".repeat(450) });
  const part = log.take()!;
  publish({ qos: 0, messageId: undefined });
  log.succeed(part);
  publish({ qos: 0, messageId: undefined });
  log.commit();
  assert.equal(ledger.counts()[0]?.records, 1);
});

test("overflow, drop-oldest: the oldest make room and are counted, the new one is stored", async (t) => {
  const { log, publish, answers, partition, ledger } = await full(t, "drop-oldest");
  assert.deepEqual(log.trims, [{ partition, before: 1 }]);
  log.commit();
  assert.deepEqual(ledger.counts(), [{ topic: "full", reason: "overflow", records: 1 }]);
  publish({ messageId: 6 });
  log.commit();
  assert.deepEqual(answers, ["ok"]);
  assert.equal(partition.logEndOffset, 6);
});

test("overflow, drop-oldest: a log that refuses a commit for want of room makes room, whatever its size says", async (t) => {
  const { log, publish } = await start(t, { routes: [{ match: "#", topic: "t", key: "k" }] });
  publish({ messageId: 1 });
  log.commit();
  publish({ messageId: 2 });
  log.take()!.failed(new StreamError("LOG_FULL", "max_page_count"));
  assert.deepEqual(log.trims, []);
  publish({ messageId: 3 });
  log.commit();
  assert.equal(log.trims.length, 1);
  await turn();
  publish({ messageId: 4 });
  log.commit();
  assert.equal(log.trims.length, 1);
});

test("overflow, drop-oldest: what the hub has confirmed is no loss", async (t) => {
  const { log, ledger } = await full(t, "drop-oldest", { pendingFrom: (partition) => partition.logEndOffset });
  assert.equal(log.trims.length, 1);
  log.commit();
  assert.deepEqual(ledger.counts(), []);
});

test("overflow, drop-newest: what is stored stays; the new one is answered, dropped and counted", async (t) => {
  const { log, ingest, publish, answers, values, ledger } = await full(t, "drop-newest");
  publish({ messageId: 6 });
  log.commit();
  assert.deepEqual(answers, ["ok"]);
  assert.deepEqual(values(), ["1", "2", "3", "4", "5"]);
  assert.deepEqual(log.trims, []);
  log.commit();
  assert.deepEqual(ledger.counts(), [{ topic: "full", reason: "overflow", records: 1 }]);
  assert.ok(ingest.stats().isWithoutRoom);
});

test("overflow, drop-newest: a dropped message that is sent again at QoS 2 is neither counted twice nor stored", async (t) => {
  const { log, publish, answers, partition, values, ledger } = await full(t, "drop-newest");
  publish({ messageId: 6, payload: "6", qos: 2 });
  log.commit();
  // The PUBREC was lost.
  publish({ messageId: 6, payload: "6", qos: 2, dup: true });
  await log.trim(partition, partition.logEndOffset);
  log.commit();
  publish({ messageId: 6, payload: "6", qos: 2, dup: true });
  log.commit();
  assert.deepEqual(answers, ["ok", "ok", "ok"]);
  assert.deepEqual(values(), ["1", "2", "3", "4", "5"]);
  assert.deepEqual(ledger.counts(), [{ topic: "full", reason: "overflow", records: 1 }]);
});

test("overflow: a commit with drops is flushed, for the hub is told of them next", async (t) => {
  const routes = [{ match: "#", topic: "full", key: "k", overflow: "drop-newest", durability: "os" }] as const;
  const { log, publish, partition } = await full(t, "drop-newest", { routes });
  publish({ qos: 0, messageId: undefined });
  log.commit();
  publish({ qos: 0, messageId: undefined });
  assert.equal(log.take()?.durability, "fsync");
  await log.trim(partition, partition.logEndOffset);
  log.commit();
  publish({ qos: 0, messageId: undefined });
  assert.equal(log.take()?.durability, "os");
});

test("overflow, block: publishers wait until there is room, then all is stored in order", async (t) => {
  const { log, ingest, publish, answers, partition, values } = await full(t, "block");
  publish({ messageId: 6, payload: "6", qos: 2 });
  publish({ messageId: 7, payload: "7" });
  log.commit();
  // Repetitions wait with the first ones.
  publish({ messageId: 6, payload: "6", qos: 2, dup: true });
  publish({ messageId: 7, payload: "7", dup: true });
  log.commit();
  assert.deepEqual(answers, []);
  assert.equal(ingest.stats().waitingMessages, 2);
  // The uplink has delivered everything.
  await log.trim(partition, partition.logEndOffset);
  publish({ messageId: 8, payload: "8" });
  log.commit();
  publish({ messageId: 9, payload: "9" });
  log.commit();
  assert.deepEqual(values().slice(5), ["6", "7", "8", "9"]);
  assert.equal(answers.length, 6);
  const { waitingMessages, waitingBytes, uncommittedMessages, uncommittedBytes } = ingest.stats();
  assert.deepEqual([waitingMessages, waitingBytes, uncommittedMessages, uncommittedBytes], [0, 0, 0, 0]);
  publish({ messageId: 8, payload: "8", dup: true });
  assert.equal(ingest.stats().duplicateMessages, 3);
});

test("overflow, block: a log that refused a commit, whatever its size says, is tried again when something was freed", async (t) => {
  const routes = [{ match: "#", topic: "full", key: "k", overflow: "block" as const }];
  const { log, publish, answers, values } = await full(t, "block", { routes, capBytes: 1_000_000 });
  for (const dup of [false, true]) {
    publish({ messageId: 6, payload: "6", dup });
    log.take()?.failed(new StreamError("LOG_FULL", "no page is left"));
  }
  publish({ messageId: 6, payload: "6", dup: true });
  assert.equal(log.take(), undefined);
  assert.deepEqual(answers, ["LOG_FULL", "LOG_FULL"]);
  // The uplink trims what the hub has.
  const partition = log.topics.get("full")!.partitions.find((each) => each.bytes > 0)!;
  await log.trim(partition, partition.logStartOffset + 1);
  log.commit();
  assert.deepEqual([answers, values().at(-1)], [["LOG_FULL", "LOG_FULL", "ok"], "6"]);
});

test("overflow, block: what waits is bounded", async (t) => {
  const { publish, answers, ledger, log } = await full(t, "block", { limits: { waitingMessagesMax: 1 } });
  publish({ messageId: 6 });
  publish({ messageId: 7 });
  publish({ qos: 0, messageId: undefined });
  assert.deepEqual(answers, ["OVERLOADED", "ok"]);
  log.commit();
  assert.equal(ledger.counts()[0]?.reason, "overload");
});

test("overflow: a log without room is looked at again though nothing is committed", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { log, publish, answers, partition } = await full(t, "block");
  publish({ messageId: 6 });
  const before = log.requests;
  t.mock.timers.tick(100);
  assert.equal(log.requests, before + 1);
  assert.equal(log.take(), undefined);
  await log.trim(partition, partition.logEndOffset);
  t.mock.timers.tick(100);
  log.commit();
  assert.deepEqual(answers, ["ok"]);
});

test("stop: those who wait are refused, new messages too, and what has gathered is still committed", async (t) => {
  const { log, ingest, publish, answers } = await start(t, { routes: [{ match: "w", topic: "new" }] });
  publish({ messageId: 1 });
  publish({ messageId: 2, topic: "w" });
  ingest.stop();
  publish({ messageId: 3 });
  assert.deepEqual(answers, ["CLOSING", "CLOSING"]);
  log.commit();
  assert.deepEqual(answers, ["CLOSING", "CLOSING", "ok"]);
});

test("stop: messages that a full log holds back are refused", async (t) => {
  const { ingest, publish, answers } = await full(t, "block");
  publish({ messageId: 6 });
  ingest.stop();
  assert.deepEqual(answers, ["CLOSING"]);
  assert.equal(ingest.stats().waitingMessages, 0);
});

test("stop: a log that died refuses messages with its own error", async (t) => {
  const { log, publish, answers } = await start(t);
  log.die(new StreamError("LOG_IO", "disk"));
  publish();
  assert.deepEqual(answers, ["LOG_IO"]);
});
