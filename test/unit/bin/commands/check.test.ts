import assert from "node:assert/strict";
import { test } from "node:test";
import { formatOrigin, itemByItem } from "../../../../bin/commands/check.ts";
import { runCommandLine } from "../../../../bin/program.ts";
import type { ExplainedValue } from "../../../../shared/config/load-config.ts";
import { fakeContext } from "../../../support/command.ts";

const value = (path: string): ExplainedValue => ({ path, value: "x", origin: { type: "default" }, description: "" });

test("an origin is the flag, the variable, the file and line, or the default", () => {
  assert.equal(formatOrigin({ type: "flag", flag: "--http" }), "--http");
  assert.equal(formatOrigin({ type: "variable", variable: "TRIBUTARY_HTTP_LISTEN" }), "TRIBUTARY_HTTP_LISTEN");
  assert.equal(formatOrigin({ type: "file", file: "hub.yaml", line: 12 }), "hub.yaml:12");
  assert.equal(formatOrigin({ type: "file", file: "hub.yaml", line: undefined }), "hub.yaml");
  assert.equal(formatOrigin({ type: "default" }), "default");
});

test("the items of a list stand one after another, all else keeps its order", () => {
  const paths = [
    "b",
    "routes[0].match",
    "routes[1].match",
    "routes[0].topic",
    "routes[10].topic",
    "routes[1].topic",
    "a",
  ];
  assert.deepEqual(
    itemByItem(paths.map(value)).map(({ path }) => path),
    ["b", "routes[0].match", "routes[0].topic", "routes[1].match", "routes[1].topic", "routes[10].topic", "a"],
  );
});

test("each value is shown with where it came from, a flag before a variable, secrets as ***", async () => {
  const env = {
    TRIBUTARY_KAFKA_LISTEN: "127.0.0.1:1",
    TRIBUTARY_HTTP_LISTEN: "127.0.0.1:2",
    TRIBUTARY_UPLINK_TOKEN: "secret-1",
  };
  const { context, out, err } = fakeContext({ env });
  const exitCode = await runCommandLine(["check", "hub", "--http", "127.0.0.1:3", "--changed"], context);
  assert.equal(exitCode, 0);
  assert.deepEqual(out().split("\n"), [
    "KEY           VALUE        FROM",
    "http.listen   127.0.0.1:3  --http",
    "kafka.listen  127.0.0.1:1  TRIBUTARY_KAFKA_LISTEN",
    "uplink.token  ***          TRIBUTARY_UPLINK_TOKEN",
    "",
  ]);
  assert.equal(err(), "The configuration of the hub is valid.\n");
});

test("as JSON, with every key", async () => {
  const { context, out } = fakeContext();
  await runCommandLine(["check", "agent", "--json"], context);
  const rows = JSON.parse(out()) as { key: string; value: string; from: string }[];
  const row = rows.find(({ key }) => key === "mqtt.listen");
  assert.deepEqual([row?.value, row?.from], ["127.0.0.1:1883", "default"]);
});
