import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { QosTwoPackets, qosTwoExtension } from "../../../../agent/ingest/qos-two-packets.ts";
import type { PacketKey } from "../../../../agent/ingest/qos-two-packets.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { DirectExtensionLog } from "../../../support/direct-extension-log.ts";
import { tempDir } from "../../../support/temp-dir.ts";

function openAt(t: TestContext, directory: string): DirectExtensionLog {
  const log = new DirectExtensionLog(path.join(directory, "log.db"), [qosTwoExtension]);
  onCleanUp(t, () => log.close());
  return log;
}

async function store(packets: QosTwoPackets, log: DirectExtensionLog, ...keys: PacketKey[]): Promise<void> {
  for (const key of keys) packets.begin(key);
  await log.call([packets.insertCall(keys)]);
  assert.deepEqual(packets.settle(keys), []);
}

test("qos 2 packets: an identifier is pending until its commit ends, then stored", async (t) => {
  const log = openAt(t, tempDir(t));
  const packets = await QosTwoPackets.load(log);
  packets.begin(["c", 5]);
  assert.ok(packets.isPending("c", 5));
  assert.ok(!packets.has("c", 5));
  packets.settle([["c", 5]]);
  assert.ok(!packets.isPending("c", 5));
  assert.ok(packets.has("c", 5));
  assert.ok(!packets.has("d", 5));
});

test("qos 2 packets: a commit that failed leaves nothing, and those who waited hear the error", async (t) => {
  const packets = await QosTwoPackets.load(openAt(t, tempDir(t)));
  packets.begin(["c", 5]);
  const heard: unknown[] = [];
  packets.wait("c", 5, (error) => heard.push(error));
  const failure = new Error("disk");
  for (const listener of packets.settle([["c", 5]], failure)) listener(failure);
  assert.deepEqual(heard, [failure]);
  assert.ok(!packets.has("c", 5) && !packets.isPending("c", 5));
});

test("qos 2 packets: what was stored is there after a restart, what was released is not", async (t) => {
  const directory = tempDir(t);
  const log = openAt(t, directory);
  const packets = await QosTwoPackets.load(log);
  await store(packets, log, ["c", 1], ["c", 2], ["d", 1]);
  await packets.release("c", 1);
  assert.ok(!packets.has("c", 1));
  const again = await QosTwoPackets.load(openAt(t, directory));
  assert.deepEqual(
    [...again.ids()].toSorted(([a], [b]) => a.localeCompare(b)),
    [
      ["c", 2],
      ["d", 1],
    ],
  );
});

test("qos 2 packets: releasing an identifier that is not there asks nothing of the log", async (t) => {
  const log = openAt(t, tempDir(t));
  const packets = await QosTwoPackets.load(log);
  await packets.release("c", 1);
  await packets.releaseAll("c");
  assert.deepEqual(
    log.calls.map(({ method }) => method),
    ["all"],
  );
});

test("qos 2 packets: the identifier stays until its deletion is durable", async (t) => {
  const log = openAt(t, tempDir(t));
  const packets = await QosTwoPackets.load(log);
  await store(packets, log, ["c", 1]);
  const letGo = log.hold();
  const released = packets.release("c", 1);
  assert.ok(packets.has("c", 1));
  letGo();
  await released;
  assert.ok(!packets.has("c", 1));
  assert.deepEqual(log.calls.at(-1), { method: "remove", durability: "fsync" });
});

test("qos 2 packets: a release whose deletion failed is told so and leaves the identifier", async (t) => {
  const log = openAt(t, tempDir(t));
  const packets = await QosTwoPackets.load(log);
  await store(packets, log, ["c", 1]);
  log.failure = new Error("disk");
  await assert.rejects(packets.release("c", 1), /disk/);
  assert.ok(packets.has("c", 1));
});

test("qos 2 packets: a release waits for the commit that still carries the message", async (t) => {
  const log = openAt(t, tempDir(t));
  const packets = await QosTwoPackets.load(log);
  packets.begin(["c", 1]);
  const released = packets.release("c", 1);
  await log.call([packets.insertCall([["c", 1]])]);
  for (const listener of packets.settle([["c", 1]])) listener();
  await released;
  assert.ok(!packets.has("c", 1));
  assert.deepEqual(await log.query({ extension: "qos2", method: "all", args: undefined }), []);
});

test("qos 2 packets: the end of a session releases all of that client, also what is pending", async (t) => {
  const directory = tempDir(t);
  const log = openAt(t, directory);
  const packets = await QosTwoPackets.load(log);
  await store(packets, log, ["c", 1], ["c", 2], ["d", 1]);
  packets.begin(["c", 3]);
  const released = packets.releaseAll("c");
  await log.call([packets.insertCall([["c", 3]])]);
  for (const listener of packets.settle([["c", 3]])) listener();
  await released;
  assert.deepEqual([...packets.ids()], [["d", 1]]);
  const again = await QosTwoPackets.load(openAt(t, directory));
  assert.deepEqual([...again.ids()], [["d", 1]]);
});
