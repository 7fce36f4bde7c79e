import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { onCleanUp } from "../../support/clean-up.ts";
import { runCommand, startCommand, startHubCommand } from "../../support/run-command.ts";
import { tempDir } from "../../support/temp-dir.ts";

const silent = ["--log-level", "silent"] as const;
const anyPorts = ["--mqtt", "127.0.0.1:0", "--admin", "127.0.0.1:0", ...silent] as const;

test("agent: without a hub it starts, tells its ports, and ends with 0 on SIGTERM", async (t) => {
  const agent = startCommand(t, ["agent", "--data", tempDir(t), ...anyPorts]);
  await agent.saw(/^\{"ready":"agent","mqtt":"127\.0\.0\.1:\d+","admin":"127\.0\.0\.1:\d+"\}\n$/);
  assert.equal(await agent.stop(), 0);
});

test("agent: what is published by MQTT can be consumed at the hub", async (t) => {
  const hub = await startHubCommand(t, tempDir(t));
  const agent = startCommand(t, ["agent", "--data", tempDir(t), "--hub", `ws://${hub.http}`, ...anyPorts]);
  const [line] = await agent.saw(/^\{.*\}\n/);
  const { mqtt } = JSON.parse(line) as { mqtt: string };
  await runCommand(["topics", "create", "mqtt", "--kafka", hub.kafka]);
  const consumer = startCommand(t, ["consume", "mqtt", "--kafka", hub.kafka]);
  const client = await connectAsync(`mqtt://${mqtt}`);
  onCleanUp(t, () => client.endAsync());
  await client.publishAsync("hello/world", "how are you", { qos: 1 });
  const [record] = await consumer.saw(/.*\n/);
  assert.match(record, /^\d\/0\thello\/world\thow are you\n$/);
});

test("agent: a port that is taken ends with 69 and says which", async (t) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  onCleanUp(t, () => other.close());
  const address = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  const args = ["agent", "--data", tempDir(t), "--mqtt", address, "--admin", "127.0.0.1:0", ...silent];
  const { exitCode, err } = await runCommand(args);
  assert.equal(exitCode, 69);
  assert.match(err, new RegExp(`PORT_IN_USE: .*${address}`));
});

test("agent: a listener that anyone can reach is refused with 78", async (t) => {
  const { exitCode, err } = await runCommand(["agent", "--data", tempDir(t), "--mqtt", "0.0.0.0:0"]);
  assert.equal(exitCode, 78);
  assert.match(err, /LISTENER_NOT_PROTECTED/);
});
