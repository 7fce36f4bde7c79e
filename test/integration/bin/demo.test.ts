import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { test } from "node:test";
import { portOrAnyOther } from "../../../bin/demo/ports.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import { runCommand, startCommand } from "../../support/run-command.ts";
import { tempDir } from "../../support/temp-dir.ts";

test("demo: sensors flow through agent and hub to the group, and Ctrl-C ends it with everything on disk", async (t) => {
  const data = tempDir(t);
  const demo = startCommand(t, ["demo", "--data", data]);
  const [, kafka = ""] = await demo.saw(/Kafka clients at (\S+),/);
  await demo.saw(/^sensors [1-9]\d*\/s > hub [1-9]\d*\/s > group [1-9]\d*\/s \| lag \d+ \| backlog \d+ \| \d+ ms/m);
  const consumed = await runCommand(["consume", "climate", "--count", "20", "--format", "json", "--kafka", kafka]);
  assert.equal(consumed.exitCode, 0, consumed.err);
  for (const line of consumed.out.trimEnd().split("\n")) {
    const { key, value, headers } = JSON.parse(line) as { key: string; value: string; headers: [string, string][] };
    assert.match(key, /^(hall-a|hall-b|cold-store|yard)\/climate-[12]$/);
    assert.match((JSON.parse(value) as { unit: string }).unit, /^(°C|%)$/);
    assert.equal(Object.fromEntries(headers)["site"], key.split("/")[0]);
  }
  demo.signals.emit("SIGINT");
  // npm passes on the signal that the terminal has already sent.
  demo.signals.emit("SIGINT");
  assert.equal(await demo.ended, 0, demo.err());
  assert.match(demo.out(), /Stopped\. The data stays in/);
  assert.equal(demo.err(), "");
  for (const part of ["hub", "agent"]) {
    const { exitCode, out } = await runCommand(["log", "verify", path.join(data, part)]);
    assert.equal(exitCode, 0, out);
  }
});

test("a port is kept when it is free, and any other is taken when it is not", async (t) => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as AddressInfo;
  assert.equal(await portOrAnyOther("127.0.0.1", port), 0);
  await new Promise((resolve) => other.close(resolve));
  assert.equal(await portOrAnyOther("127.0.0.1", port), port);
  onCleanUp(t, () => other.close());
});
