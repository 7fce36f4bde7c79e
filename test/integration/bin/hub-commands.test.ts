/** The commands against a real hub, all in this process. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { onCleanUp } from "../../support/clean-up.ts";
import { runCommand, startCommand, startHubCommand } from "../../support/run-command.ts";
import type { CommandResult } from "../../support/run-command.ts";
import { tempDir } from "../../support/temp-dir.ts";

type Hub = {
  readonly directory: string;
  readonly kafka: string;
  /** Runs a command against this hub and expects it to end well. */
  readonly run: (args: readonly string[], stdin?: string) => Promise<CommandResult>;
};

async function startHub(t: TestContext): Promise<Hub> {
  const directory = tempDir(t);
  const { kafka } = await startHubCommand(t, directory);
  const run = async (args: readonly string[], stdin?: string): Promise<CommandResult> => {
    const result = await runCommand([...args, "--kafka", kafka], stdin === undefined ? {} : { stdin });
    assert.equal(result.exitCode, 0, result.err);
    return result;
  };
  return { directory, kafka, run };
}

const sorted = (text: string): string[] => text.trimEnd().split("\n").toSorted();

/** Of every partition, what the group has committed. */
async function lagOf(hub: Hub, group: string): Promise<number> {
  const { out } = await hub.run(["groups", "describe", group, "--json"]);
  const { partitions } = JSON.parse(out) as { partitions: { committed: number | null; end: number }[] };
  return partitions.reduce((sum, { committed, end }) => sum + end - (committed ?? 0), 0);
}

test("hub: the ready line names the ports, SIGTERM ends with 0", async (t) => {
  const hub = await startHubCommand(t, tempDir(t));
  assert.match(hub.out(), /^\{"ready":"hub","http":"127\.0\.0\.1:\d+","kafka":"127\.0\.0\.1:\d+"\}\n$/);
  assert.equal(await hub.stop(), 0);
});

test("hub: a port that is taken ends with 69 and says which", async (t) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  onCleanUp(t, () => other.close());
  const address = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  const args = ["hub", "--data", tempDir(t), "--http", "127.0.0.1:0", "--kafka", address, "--log-level", "silent"];
  const { exitCode, err } = await runCommand(args);
  assert.equal(exitCode, 69);
  assert.match(err, new RegExp(`PORT_IN_USE: .*${address}`));
});

test("hub: a data directory that another one uses ends with 69", async (t) => {
  const directory = tempDir(t);
  await startHubCommand(t, directory);
  const { exitCode, err } = await runCommand([
    "hub",
    ...["--data", directory, "--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--log-level", "silent"],
  ]);
  assert.equal(exitCode, 69);
  assert.match(err, /LOG_LOCKED/);
});

test("every command tells clearly when no hub listens, with 69", async () => {
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, "127.0.0.1", resolve));
  const address = `127.0.0.1:${(closed.address() as AddressInfo).port}`;
  await new Promise((resolve) => closed.close(resolve));
  for (const args of [
    ["topics", "list"],
    ["groups", "list"],
    ["produce", "t", "-m", "x"],
    ["consume", "t"],
    ["consume", "t", "--group", "g"],
  ]) {
    const { exitCode, err } = await runCommand([...args, "--kafka", address]);
    assert.equal(exitCode, 69, args.join(" "));
    assert.equal(err.split("\n")[0], `error: HUB_UNREACHABLE: nothing listens on ${address}`);
    assert.match(err, /Start one with `tributary hub`/);
  }
});

test("topics: created, listed, described and deleted", async (t) => {
  const hub = await startHub(t);
  assert.match((await hub.run(["topics", "list"])).out, /no topics yet/);
  const created = await hub.run(["topics", "create", "orders", "--partitions", "2", "--config", "retention.ms=60000"]);
  assert.equal(created.out, "created orders with 2 partitions\n");
  await hub.run(["produce", "orders", "-m", "a", "-m", "b", "--key", "k"]);
  assert.deepEqual(
    sorted((await hub.run(["topics", "list"])).out),
    ["TOPIC   PARTITIONS  RECORDS", "orders           2        2"].toSorted(),
  );
  const described = await hub.run(["topics", "describe", "orders"]);
  assert.match(described.out, /^orders {2}2 partitions, 2 records kept$/m);
  assert.match(described.out, /^retention\.ms +60000 +set for this topic$/m);
  const refused = await runCommand(["topics", "delete", "orders", "--kafka", hub.kafka]);
  assert.equal(refused.exitCode, 64);
  assert.match(refused.err, /deletes 'orders' with 2 records for good; add --yes/);
  await hub.run(["topics", "delete", "orders", "--yes"]);
  assert.equal((await hub.run(["topics", "list", "--json"])).out, "[]\n");
});

test("topics: the hub's own refusals come through with their codes", async (t) => {
  const hub = await startHub(t);
  await hub.run(["topics", "create", "orders"]);
  for (const [args, pattern] of [
    [["topics", "create", "orders"], /^error: TOPIC_ALREADY_EXISTS: /],
    [["topics", "create", "no spaces"], /^error: INVALID_TOPIC: /],
    [["topics", "describe", "nowhere"], /^error: UNKNOWN_TOPIC_OR_PARTITION: there is no topic 'nowhere'/],
    [["produce", "nowhere", "-m", "x"], /^error: UNKNOWN_TOPIC_OR_PARTITION: /],
    [["consume", "nowhere"], /^error: UNKNOWN_TOPIC_OR_PARTITION: /],
    [["consume", "nowhere", "--group", "g"], /^error: UNKNOWN_TOPIC_OR_PARTITION: /],
    [["groups", "describe", "nowhere"], /^error: GROUP_ID_NOT_FOUND: /],
    [["groups", "delete", "nowhere", "--yes"], /^error: GROUP_ID_NOT_FOUND: /],
  ] as const) {
    const { exitCode, err } = await runCommand([...args, "--kafka", hub.kafka]);
    assert.equal(exitCode, 1, args.join(" "));
    assert.match(err, pattern);
  }
});

test("produce: lines of stdin become records, with key, headers and order kept", async (t) => {
  const hub = await startHub(t);
  await hub.run(["topics", "create", "pairs", "--partitions", "3"]);
  const lines = Array.from({ length: 500 }, (_, index) => `k${index % 5}=${index}`);
  const produced = await hub.run(
    ["produce", "pairs", "--key-separator", "=", "--header", "source=test"],
    `${lines.join("\n")}\n`,
  );
  assert.equal(produced.err, "sent 500 records to pairs\n");
  const { out } = await hub.run(["consume", "pairs", "--until-end", "--format", "json"]);
  const records = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { key: string; value: string; headers: unknown });
  assert.equal(records.length, 500);
  assert.deepEqual(records[0]?.headers, [["source", "test"]]);
  for (const key of ["k0", "k1", "k2", "k3", "k4"]) {
    const values = records.filter((record) => record.key === key).map(({ value }) => Number(value));
    assert.deepEqual(
      values,
      lines.filter((line) => line.startsWith(`${key}=`)).map((line) => Number(line.slice(3))),
    );
  }
});

test("produce: every codec and every acks level arrives as it was sent", async (t) => {
  const hub = await startHub(t);
  await hub.run(["topics", "create", "codecs", "--partitions", "1"]);
  for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"]) {
    await hub.run(["produce", "codecs", "-m", codec, "--compression", codec]);
  }
  for (const acks of ["all", "leader"]) await hub.run(["produce", "codecs", "-m", acks, "--acks", acks]);
  const { out } = await hub.run(["consume", "codecs", "--until-end", "--format", "value"]);
  assert.equal(out, "none\ngzip\nsnappy\nlz4\nzstd\nall\nleader\n");
});

test("produce: a partition that does not exist is refused with those that do", async (t) => {
  const hub = await startHub(t);
  await hub.run(["topics", "create", "one", "--partitions", "1"]);
  const { exitCode, err } = await runCommand(["produce", "one", "-m", "x", "--partition", "1", "--kafka", hub.kafka]);
  assert.equal(exitCode, 64);
  assert.match(err, /'one' has the partitions 0 to 0, not 1/);
});

test("consume: from an offset, the end, a time; a number of records", async (t) => {
  const hub = await startHub(t);
  await hub.run(["topics", "create", "numbers", "--partitions", "1"]);
  await hub.run(["produce", "numbers"], "0\n1\n2\n3\n4\n");
  const read = async (...options: string[]): Promise<string> =>
    (await hub.run(["consume", "numbers", "--format", "value", "--until-end", ...options])).out;
  assert.equal(await read(), "0\n1\n2\n3\n4\n");
  assert.equal(await read("--from", "3"), "3\n4\n");
  assert.equal(await read("--from", "99"), "");
  assert.equal(await read("--from", "latest"), "");
  assert.equal(await read("--from", "1h"), "0\n1\n2\n3\n4\n");
  assert.equal(await read("--from", "2100-01-01"), "");
  assert.equal(await read("--count", "2"), "0\n1\n");
});

test("consume: follows a topic until it is stopped, and ends with 0", async (t) => {
  const hub = await startHub(t);
  await hub.run(["topics", "create", "live", "--partitions", "2"]);
  await hub.run(["produce", "live", "-m", "before"]);
  const consumer = startCommand(t, ["consume", "live", "--format", "value", "--kafka", hub.kafka]);
  await consumer.saw(/before\n/);
  await hub.run(["produce", "live", "-m", "after"]);
  await consumer.saw(/after\n/);
  assert.equal(await consumer.stop(), 0);
});

test("consume --group: commits what it printed, leaves on SIGTERM, and the next run goes on behind it", async (t) => {
  const hub = await startHub(t);
  await hub.run(["topics", "create", "work", "--partitions", "3"]);
  await hub.run(["produce", "work"], "1\n2\n3\n4\n5\n6\n");
  const first = startCommand(t, ["consume", "work", "--group", "g", "--format", "value", "--kafka", hub.kafka]);
  await first.saw(/(?:\d\n){6}/);
  assert.equal(await first.stop(), 0);
  const { out } = await hub.run(["groups", "list"]);
  assert.match(out, /^g +classic +empty +0$/m);
  assert.equal(await lagOf(hub, "g"), 0);
  await hub.run(["produce", "work"], "7\n8\n");
  const second = await hub.run(["consume", "work", "--group", "g", "--format", "value", "--count", "2"]);
  assert.deepEqual(sorted(second.out), ["7", "8"]);
});

test("consume --group --count: commits exactly what was printed", async (t) => {
  const hub = await startHub(t);
  await hub.run(["topics", "create", "work", "--partitions", "1"]);
  await hub.run(["produce", "work"], "1\n2\n3\n4\n5\n");
  const consume = ["consume", "work", "--group", "g", "--format", "value", "--count"];
  assert.equal((await hub.run([...consume, "2"])).out, "1\n2\n");
  assert.equal(await lagOf(hub, "g"), 3);
  assert.equal((await hub.run([...consume, "3"])).out, "3\n4\n5\n");
});

test("consume --group: two members share the partitions, and everything is printed once", async (t) => {
  const hub = await startHub(t);
  await hub.run(["topics", "create", "shared", "--partitions", "4"]);
  const args = ["consume", "shared", "--group", "team", "--format", "value", "--kafka", hub.kafka];
  const members = [startCommand(t, args), startCommand(t, args)];
  const memberCount = async (): Promise<number> => {
    const { out } = await runCommand(["groups", "describe", "team", "--json", "--kafka", hub.kafka]);
    if (out === "") return 0;
    const { state, partitions } = JSON.parse(out) as { state: string; partitions: { member: string | null }[] };
    return state === "stable"
      ? new Set(partitions.map(({ member }) => member).filter((member) => member !== null)).size
      : 0;
  };
  while ((await memberCount()) < 2) await new Promise((resolve) => setImmediate(resolve));
  const lines = Array.from({ length: 40 }, (_, index) => String(index));
  await hub.run(["produce", "shared"], `${lines.join("\n")}\n`);
  while ((await lagOf(hub, "team")) > 0) await new Promise((resolve) => setImmediate(resolve));
  for (const member of members) assert.equal(await member.stop(), 0);
  const printed = members.map((member) => sorted(member.out()));
  assert.ok(
    printed.every((each) => each.length === 20),
    `${printed.map((each) => each.length).join(" and ")} lines`,
  );
  assert.deepEqual(printed.flat().toSorted(), lines.toSorted());
});

test("consume: goes on when the hub is back, alone and as a group, and says so", async (t) => {
  const directory = tempDir(t);
  const first = await startHubCommand(t, directory);
  const { kafka } = first;
  await runCommand(["topics", "create", "live", "--partitions", "1", "--kafka", kafka]);
  await runCommand(["produce", "live", "-m", "before", "--kafka", kafka]);
  const args = ["consume", "live", "--format", "value", "--kafka", kafka];
  const readers = [startCommand(t, args), startCommand(t, [...args, "--group", "g"])];
  for (const reader of readers) await reader.saw(/before\n/);
  await first.stop();
  for (const reader of readers) await reader.sawError(/lost/);
  await startHubCommand(t, directory, kafka);
  await runCommand(["produce", "live", "-m", "after", "--kafka", kafka]);
  for (const reader of readers) {
    await reader.saw(/after\n/);
    assert.match(reader.err(), /^connection to \S+ lost, waiting for it to come back\nconnected to \S+ again\n$/);
    assert.equal(await reader.stop(), 0);
  }
});

test("groups: reset moves the offsets, a dry run does not, and members are in the way", async (t) => {
  const hub = await startHub(t);
  await hub.run(["topics", "create", "work", "--partitions", "2"]);
  await hub.run(["produce", "work"], "1\n2\n3\n4\n");
  await hub.run(["consume", "work", "--group", "g", "--count", "4"]);
  const reset = ["groups", "reset", "g", "--topic", "work", "--to", "earliest"];
  assert.match((await hub.run([...reset, "--dry-run"])).out, /0 +2 +0\n[^]*nothing changed/);
  assert.equal(await lagOf(hub, "g"), 0);
  await hub.run([...reset, "--partition", "1"]);
  assert.equal(await lagOf(hub, "g"), 2);
  await hub.run(reset);
  assert.equal(await lagOf(hub, "g"), 4);
  const member = startCommand(t, ["consume", "work", "--group", "g", "--format", "value", "--kafka", hub.kafka]);
  await member.saw(/(?:\d\n){4}/);
  const refused = await runCommand([...reset, "--kafka", hub.kafka]);
  assert.equal(refused.exitCode, 1);
  assert.match(refused.err, /NON_EMPTY_GROUP: 'g' has 1 member reading/);
  await member.stop();
  await hub.run(["groups", "delete", "g", "--yes"]);
  assert.match((await hub.run(["groups", "list"])).out, /no consumer groups yet/);
});

test("log inspect and log verify look into the hub's log while it runs", async (t) => {
  const hub = await startHub(t);
  await hub.run(["topics", "create", "orders", "--partitions", "1"]);
  await hub.run(["produce", "orders", "-m", "one", "-m", "two", "--key", "k", "--compression", "zstd"]);
  const inspect = async (...options: string[]): Promise<string> => {
    const { exitCode, out, err } = await runCommand(["log", "inspect", hub.directory, ...options]);
    assert.equal(exitCode, 0, err);
    return out;
  };
  assert.match(await inspect(), /^orders +0 +0 +2 +2 +1 +\d+ B$/m);
  assert.match(await inspect("--topic", "orders"), /^ +0 +0-1 +2 +\d+ B +zstd +\S+Z +\S+ +ok$/m);
  assert.equal(await inspect("--topic", "orders", "--records", "--offset", "1"), "0/1\tk\ttwo\n");
  const verified = await runCommand(["log", "verify", path.join(hub.directory, "log.db")]);
  assert.equal(verified.exitCode, 0);
  assert.match(verified.out, /^checked 1 batch, \d+ B: all sound$/m);
});
