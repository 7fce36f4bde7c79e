/** The loader on both programs' real schemas, with files on disk. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { loadAgentConfig } from "../../../../agent/config.ts";
import { loadHubConfig } from "../../../../hub/config.ts";
import { StreamError } from "../../../../shared/errors.ts";
import { tempDir } from "../../../support/temp-dir.ts";

function file(t: TestContext, text: string, name = "agent.yaml"): string {
  const place = path.join(tempDir(t), name);
  writeFileSync(place, text);
  return place;
}

function problemsOf(load: () => unknown): { readonly error: StreamError; readonly problems: readonly string[] } {
  try {
    load();
  } catch (error) {
    assert.ok(error instanceof StreamError, String(error));
    return { error, problems: error.details["problems"] as string[] };
  }
  assert.fail("nothing was wrong");
}

const nothing = { flags: {}, env: {} };

suite("load config", () => {
  test("three mistakes in a file are all listed, each with its line and column", (t) => {
    const config = file(
      t,
      `mqtt:
  listn: 127.0.0.1:1883
log:
  bytesMax: 12
routes:
  - match: sensors/{site
    topic: readings
`,
    );
    const { error, problems } = problemsOf(() => loadAgentConfig({ ...nothing, file: config }));
    assert.equal(error.code, "CONFIG_INVALID");
    assert.equal(problems.length, 3, problems.join("\n"));
    assert.equal(problems[0], `${config}:2:3: mqtt.listn is not a known key; did you mean mqtt.listen?`);
    assert.equal(problems[1], `${config}:4:3: log.bytesMax found 12, allowed is a whole number, 1000000 or more`);
    assert.ok(problems[2]?.startsWith(`${config}:6:5: routes[0].match `), problems[2]);
    for (const problem of problems) assert.ok(error.message.includes(problem));
  });

  test("mistakes of the file, of variables and of flags are listed together", (t) => {
    const { problems } = problemsOf(() =>
      loadHubConfig({
        file: file(t, "kafka: { listen: 9092 }\n"),
        env: { TRIBUTARY_TOPICS_PARTITIONS: "many", TRIBUTARY_TAIL_CACHE_BYTE_MAX: "1" },
        flags: { http: "nowhere" },
      }),
    );
    assert.equal(problems.length, 4);
    assert.match(problems[0] ?? "", /agent\.yaml:1:10: kafka\.listen found 9092/);
    const rest = problems.slice(1).join("\n");
    assert.match(rest, /TRIBUTARY_TOPICS_PARTITIONS: topics\.partitions found "many", allowed is a whole number/);
    assert.match(rest, /TRIBUTARY_TAIL_CACHE_BYTE_MAX: is not a known variable; did you mean TRIBUTARY_TAIL_CACHE_B/);
    assert.match(rest, /--http: http\.listen found "nowhere", allowed is HOST:PORT/);
  });

  test("a flag wins over a variable, a variable over the file, the file over the default", (t) => {
    const config = file(
      t,
      "log: { commitIntervalMs: 1, bytesMax: 2000000 }\nlogLevel: warn\nadmin: { listen: '[::1]:1' }\n",
    );
    const env = { TRIBUTARY_LOG_COMMIT_INTERVAL_MS: "2", TRIBUTARY_LOG_LEVEL: "error", TRIBUTARY_CONFIG: config };
    const loaded = loadAgentConfig({ flags: { "log-level": "debug", name: undefined }, env });
    assert.equal(loaded.config.logLevel, "debug");
    assert.equal(loaded.config.log.commitIntervalMs, 2);
    assert.equal(loaded.config.log.bytesMax, 2_000_000);
    assert.deepEqual(loaded.config.admin.listen, { host: "::1", port: 1 });
    assert.equal(loaded.config.data.dir, "data/agent");
    assert.deepEqual(loaded.origins.get("logLevel"), { type: "flag", flag: "--log-level" });
    const variable = "TRIBUTARY_LOG_COMMIT_INTERVAL_MS";
    assert.deepEqual(loaded.origins.get("log.commitIntervalMs"), { type: "variable", variable });
    assert.deepEqual(loaded.origins.get("log.bytesMax"), { type: "file", file: config, line: 1 });
    assert.deepEqual(loaded.origins.get("data.dir"), { type: "default" });
  });

  test("a file that the flag names wins over the one that the variable names", (t) => {
    const first = file(t, "logLevel: warn\n");
    const second = file(t, "logLevel: error\n");
    assert.equal(loadHubConfig({ flags: {}, env: { TRIBUTARY_CONFIG: first }, file: second }).config.logLevel, "error");
  });

  test("a secret is never shown, wherever it came from", (t) => {
    const config = file(t, "uplink: { token: hush-hush-hush, hub: 'ws://127.0.0.1:1' }\n");
    const { config: values, explained } = loadAgentConfig({ ...nothing, file: config });
    assert.equal(values.uplink.token, "hush-hush-hush");
    assert.equal(explained.find((row) => row.path === "uplink.token")?.value, "***");
    assert.doesNotMatch(JSON.stringify(explained), /hush/);
  });

  test("a secret can be in a file of its own", (t) => {
    const token = file(t, "from-a-file\n", "token");
    const loaded = loadHubConfig({ flags: { "token-file": token }, env: {} });
    assert.equal(loaded.config.uplink.token, "from-a-file");
    assert.deepEqual(loaded.origins.get("uplink.token"), { type: "flag", flag: "--token-file" });
    assert.equal(loaded.explained.find((row) => row.path === "uplink.token")?.value, "***");
  });

  test("a secret given twice, empty, or in a file that is not there is a mistake", (t) => {
    const token = file(t, "from-a-file\n", "token");
    const twice = () => loadHubConfig({ flags: { "token-file": token }, env: { TRIBUTARY_UPLINK_TOKEN: "other" } });
    assert.match(problemsOf(twice).problems[0] ?? "", /--token-file: uplink\.tokenFile is set and so is uplink\.token/);
    const empty = () => loadHubConfig({ flags: { "token-file": file(t, " \n", "token") }, env: {} });
    assert.match(problemsOf(empty).problems[0] ?? "", /--token-file: uplink\.token found a value that is not printed/);
    const absent = () => loadHubConfig({ flags: { "token-file": `${token}-not` }, env: {} });
    assert.match(problemsOf(absent).problems[0] ?? "", /there is no such file/);
  });

  test("a file that is not there, is no YAML or is no map is a clear mistake", (t) => {
    const absent = () => loadAgentConfig({ ...nothing, file: path.join(tempDir(t), "agent.yaml") });
    assert.match(problemsOf(absent).problems[0] ?? "", /agent\.yaml: cannot be read: there is no such file/);
    const broken = () => loadAgentConfig({ ...nothing, file: file(t, "mqtt: [\n") });
    assert.match(problemsOf(broken).problems[0] ?? "", /agent\.yaml:\d+:\d+: /);
    const list = () => loadAgentConfig({ ...nothing, file: file(t, "- 1\n") });
    assert.match(problemsOf(list).problems[0] ?? "", /agent\.yaml: found \[1\], allowed is a section/);
  });

  test("an empty file, an empty section and an empty variable are as good as none", (t) => {
    assert.deepEqual(loadHubConfig({ ...nothing, file: file(t, "") }).config, loadHubConfig(nothing).config);
    const empty = file(t, "mqtt:\n  # listen: 0.0.0.0:1883\nroutes:\n");
    const env = { TRIBUTARY_UPLINK_TOKEN: "" };
    assert.deepEqual(loadAgentConfig({ flags: {}, env, file: empty }).config, loadAgentConfig(nothing).config);
  });

  test("a list in a variable is YAML and replaces the file's", (t) => {
    const config = file(t, "routes: [{ match: a, topic: a }]\n");
    const env = { TRIBUTARY_ROUTES: "[{ match: 'b/{c}', topic: b, key: '{c}', acks: none }]" };
    const loaded = loadAgentConfig({ flags: {}, env, file: config });
    assert.deepEqual(loaded.config.routes, [{ match: "b/{c}", topic: "b", key: "{c}", acks: "none" }]);
    assert.deepEqual(loaded.origins.get("routes[0].acks"), { type: "variable", variable: "TRIBUTARY_ROUTES" });
  });

  test("foreign variables are left alone and can be shown", () => {
    const { unusedVariables } = loadHubConfig({
      flags: {},
      env: { TRIBUTARY_PORT_7070_TCP_ADDR: "10.0.0.1", PATH: "x" },
    });
    assert.deepEqual(unusedVariables, ["TRIBUTARY_PORT_7070_TCP_ADDR"]);
  });

  test("the configuration cannot be changed afterwards", () => {
    const { config } = loadAgentConfig(nothing);
    assert.throws(() => Object.assign(config.mqtt.limits, { packetBytesMax: 1 }), TypeError);
  });
});
