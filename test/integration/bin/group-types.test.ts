/** `tributary groups` sees groups of the classic protocol and of the consumer protocol (KIP-848) alike. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Consumer, stringDeserializers } from "@platformatic/kafka";
import { runCommandLine } from "../../../bin/program.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import { fakeContext } from "../../support/command.ts";
import { runCommand, startCommand } from "../../support/run-command.ts";
import type { CommandResult } from "../../support/run-command.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitUntil } from "../../support/wait-until.ts";

const DEADLINE_MS = 30_000;

type GroupView = {
  readonly type: string;
  readonly state: string;
  readonly assignor: string;
  readonly members: readonly { clientId: string; assigned: { topic: string; partitions: number[] }[] }[];
  readonly partitions: readonly { partition: number; lag: number | null; member: string | null }[];
};

type Run = (...args: string[]) => Promise<CommandResult>;
type Join = {
  readonly groupId: string;
  readonly protocol: "classic" | "consumer";
  readonly clientId?: string;
  readonly topic?: string;
  readonly sasl?: { readonly mechanism: "SCRAM-SHA-512"; readonly username: string; readonly password: string };
};

type Hub = {
  readonly kafka: string;
  readonly run: Run;
  /** A member that reads everything and commits it; resolves with what ends it. */
  readonly join: (options: Join) => Promise<() => Promise<void>>;
};

async function startHub(t: TestContext, users = ""): Promise<Hub> {
  const directory = tempDir(t);
  const config = path.join(directory, "hub.yaml");
  const listen = "http: { listen: 127.0.0.1:0 }\nkafka: { listen: 127.0.0.1:0 }\n";
  writeFileSync(config, `${listen}groups: { consumerHeartbeatIntervalMs: 100 }\n${users}`);
  const data = path.join(directory, "data");
  const hub = startCommand(t, ["hub", "--config", config, "--data", data, "--log-level", "silent"]);
  const [line] = await hub.saw(/^\{.*\}\n/);
  const { kafka } = JSON.parse(line) as { kafka: string };
  const join = async (options: Join) => {
    const end = await startMember(kafka, options);
    onCleanUp(t, end);
    return end;
  };
  return { kafka, run: (...args) => runCommand([...args, "--kafka", kafka]), join };
}

async function startMember(kafka: string, { groupId, protocol, clientId = "c", topic = "work", sasl }: Join) {
  const consumer = new Consumer({
    clientId,
    groupId,
    ...(protocol === "consumer" ? { groupProtocol: "consumer" } : {}),
    bootstrapBrokers: [kafka],
    deserializers: stringDeserializers,
    ...(sasl === undefined ? {} : { sasl }),
  });
  const stream = await consumer.consume({ topics: [topic], mode: "earliest", autocommit: 50 });
  stream.resume();
  let ending: Promise<void> | undefined;
  return (): Promise<void> => (ending ??= stream.close().then(() => consumer.close()));
}

const viewOf = async (run: Run, group: string): Promise<GroupView> => {
  const { out } = await run("groups", "describe", group, "--json");
  return JSON.parse(out) as GroupView;
};

const lagOf = ({ partitions }: GroupView): number => partitions.reduce((sum, { lag }) => sum + (lag ?? Infinity), 0);

const ownCounts = ({ members }: GroupView): number[] =>
  members
    .map(({ assigned }) => assigned.flatMap(({ partitions }) => partitions).length)
    .toSorted((left, right) => left - right);

/** Once the group has this many partitions a member, and has read everything. */
function settled(run: Run, group: string, counts: readonly number[]): Promise<GroupView> {
  return waitUntil(
    async () => {
      const view = await viewOf(run, group);
      return view.state === "stable" && ownCounts(view).join(" ") === counts.join(" ") && lagOf(view) === 0 && view;
    },
    { what: `${group} to be shared out as ${counts.join(" ")}, without lag`, deadlineMs: DEADLINE_MS },
  );
}

async function produce(run: Run, kafka: string, ...lines: readonly string[]): Promise<void> {
  const { exitCode, err } = await runCommand(["produce", "work", "--kafka", kafka], { stdin: `${lines.join("\n")}\n` });
  assert.equal(exitCode, 0, err);
}

test("groups list and describe show both types, their members, what these read, and the lag", async (t) => {
  const { kafka, run, join } = await startHub(t);
  await run("topics", "create", "work", "--partitions", "4");
  await produce(run, kafka, "1", "2", "3", "4");
  await join({ groupId: "old", protocol: "classic", clientId: "reader" });
  const leave = [];
  for (const clientId of ["left", "right"]) {
    leave.push(await join({ groupId: "new", protocol: "consumer", clientId }));
  }
  const classic = await settled(run, "old", [4]);
  assert.deepEqual([classic.type, classic.members[0]?.clientId], ["classic", "reader"]);
  const consumer = await settled(run, "new", [2, 2]);
  assert.deepEqual([consumer.type, consumer.assignor], ["consumer", "uniform"]);
  assert.deepEqual(consumer.members.map(({ clientId }) => clientId).toSorted(), ["left", "right"]);
  assert.ok(consumer.partitions.every(({ member }) => member !== null));

  const { out: list } = await run("groups", "list");
  assert.match(list, /^GROUP +TYPE +STATE +MEMBERS\nnew +consumer +stable +2\nold +classic +stable +1\n$/);
  const { out } = await run("groups", "describe", "new");
  assert.match(out, /^new {2}consumer, stable, 2 members, assignor uniform, lag 0\n\nMEMBER +CLIENT +HOST +ASSIGNED\n/);
  assert.match(out, /^\S+ +left +127\.0\.0\.1 +work \d[-,]\d$/m);
  assert.match(out, /^work +0 +\d+ +\d+ +0 +\S{20,}$/m);
  assert.match(
    (await run("groups", "describe", "old")).out,
    /^old {2}classic, stable, 1 member, assignor \w+, lag 0\n/,
  );

  await Promise.all(leave.map((each) => each()));
  await produce(run, kafka, "5", "6", "7");
  assert.match((await run("groups", "describe", "new")).out, /^new {2}consumer, empty, 0 members, lag 3\n\nTOPIC /);
});

for (const protocol of ["classic", "consumer"] as const) {
  test(`groups reset and delete are refused while a ${protocol} group has members, and done without`, async (t) => {
    const { kafka, run, join } = await startHub(t);
    await run("topics", "create", "work", "--partitions", "2");
    await produce(run, kafka, "1", "2");
    const close = await join({ groupId: "g", protocol });
    await settled(run, "g", [2]);
    const reset = ["groups", "reset", "g", "--topic", "work", "--to", "earliest"];
    const refused = await run(...reset);
    assert.equal(refused.exitCode, 1);
    assert.match(
      refused.err,
      /^error: NON_EMPTY_GROUP: 'g' has 1 member reading; nothing changed\nhint: +Stop its mem/,
    );
    assert.match(
      (await run(...reset, "--dry-run")).out,
      /nothing changed: this was a dry run\nthe hub would refuse it now: 'g' has 1 member reading\n$/,
    );
    const kept = await run("groups", "delete", "g", "--yes");
    assert.deepEqual([kept.exitCode, kept.err.split(":")[1]], [1, " NON_EMPTY_GROUP"]);
    assert.equal(lagOf(await viewOf(run, "g")), 0);

    await close();
    assert.equal((await run(...reset)).exitCode, 0);
    const view = await viewOf(run, "g");
    assert.deepEqual([view.type, view.state, lagOf(view)], [protocol, "empty", 2]);
    assert.equal((await run("groups", "delete", "g", "--yes")).exitCode, 0);
    const gone = await run("groups", "describe", "g");
    assert.match(gone.err, /^error: GROUP_ID_NOT_FOUND: there is no group 'g'\n/);
  });
}

test("a user sees what the rules give: a group may be listed without its members, or not at all", async (t) => {
  const entryOf = async (name: string): Promise<string> => {
    const { out } = await runCommand(["users", "hash", name], { stdin: "pencil\n" });
    return out.replace(/^users:\n/, "");
  };
  const rules = "{ topic: work, operations: all }, { group: shared-, pattern: prefixed, operations: [describe] }";
  const users = `${await entryOf("admin")}    superuser: true\n${await entryOf("reader")}    acls: [${rules}]\n`;
  const { kafka, join } = await startHub(t, `users:\n${users}`);
  const as = async (user: string, ...args: string[]): Promise<CommandResult> => {
    const { context, out, err } = fakeContext({ env: { TRIBUTARY_USER: user, TRIBUTARY_PASSWORD: "pencil" } });
    const exitCode = await runCommandLine([...args, "--kafka", kafka], context);
    return { exitCode, out: out(), err: err() };
  };
  await as("admin", "topics", "create", "work", "--partitions", "1");
  await as("admin", "topics", "create", "secret", "--partitions", "1");
  const sasl = { mechanism: "SCRAM-SHA-512", username: "admin", password: "pencil" } as const;
  for (const [groupId, topic] of [
    ["shared-work", "work"],
    ["shared-secret", "secret"],
    ["private", "work"],
  ] as const) {
    await join({ groupId, topic, protocol: "consumer", sasl });
  }
  const count = async (user: string, group: string): Promise<string | undefined> =>
    new RegExp(`^${group} +consumer +\\w+ +(\\S+)$`, "m").exec((await as(user, "groups", "list")).out)?.[1];
  await waitUntil(async () => (await count("admin", "private")) === "1", { what: "members", deadlineMs: DEADLINE_MS });
  assert.equal(await count("reader", "shared-work"), "1");
  assert.equal(await count("reader", "shared-secret"), "-");
  assert.equal(await count("reader", "private"), undefined);
  const described = await as("reader", "groups", "describe", "shared-secret");
  assert.match(described.err, /^error: TOPIC_AUTHORIZATION_FAILED: /);
  assert.match((await as("reader", "groups", "describe", "private")).err, /^error: GROUP_AUTHORIZATION_FAILED: /);
});
