/** What the linter cannot say about the repository itself. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import { generatedDocs } from "../scripts/generate-docs.ts";

const root = path.dirname(import.meta.dirname);
const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
const filesOf = (...patterns: string[]): string[] =>
  globSync(patterns, { cwd: root, exclude: (name) => name === "node_modules" }).filter((file) =>
    /\.[a-z]+$/.test(file),
  );

const sources = filesOf("{agent,hub,shared,bin}/**/*.ts").filter((file) => !file.endsWith(".d.ts"));
const everything = filesOf("{agent,hub,shared,bin,test,bench,scripts,docs}/**/*", "*.{json,md}", ".*.json", ".ci/run");

const LINES_MAX = 400;

/** Sources whose test is not their mirror: what covers them. A row that is not needed any more fails. */
const coveredElsewhere: Readonly<Record<string, string>> = {
  // Wiring and commands: seen only as whole programs.
  "{agent/agent,hub/hub,hub/listeners}.ts": "test/integration/end-to-end.test.ts",
  "bin/{commands,hub-client}/*.ts": "test/integration/bin/hub-commands.test.ts",
  "bin/config-options.ts": "test/unit/bin/commands/check.test.ts",
  "bin/demo/*.ts": "test/integration/bin/demo.test.ts",
  "shared/crash-point.ts": "test/crash/acks.test.ts",
  "shared/logger.ts": "test/integration/bin/agent-command.test.ts",
  "shared/config/fields.ts": "test/unit/{agent,hub}/config.test.ts",
  // Behind an interface whose suite is their test.
  "shared/log/*.ts": "test/conformance/partitioned-log.test.ts",
  "shared/log/salvage/*.ts": "test/conformance/log-damage.test.ts",
  "shared/batch/{batch-builder,merge}.ts": "test/unit/shared/batch/records.test.ts",
  "shared/batch/wasm-codecs.ts": "test/unit/shared/batch/compression.test.ts",
  "hub/engine/*.ts": "test/conformance/engine.test.ts",
  "hub/group/consumer/{members,reconcile}.ts": "test/unit/hub/group/consumer/consumer-coordinator.test.ts",
  "agent/forward-only/forward-only.ts": "test/crash/forward-only.test.ts",
  "hub/read-only/read-only-hub.ts": "test/crash/read-only-hub.test.ts",
  "agent/time/clock-table.ts": "test/unit/agent/time/agent-clock.test.ts",
  "agent/mqtt/{exact-copy,outgoing-queues,retained-store,session-*,will-store}.ts":
    "test/conformance/mqtt-persistence.test.ts",
  "agent/mqtt/{broker-errors,connect-guard,mqtt-broker,websocket-server}.ts":
    "test/integration/agent/mqtt/{limits,listener}.test.ts",
  // One file an API, one test a family of them; and the codec as a whole, through every schema.
  "hub/kafka/handlers/*.ts": "test/unit/hub/kafka/handlers/{fetch,groups,offsets,produce,topics}.test.ts",
  "hub/kafka/{handler,request-header,schema,wire-reader,wire-writer}.ts": "test/unit/hub/kafka/compile.test.ts",
  "hub/kafka/{connection,listener}.ts": "test/integration/kafka-listener.test.ts",
  "hub/kafka/{tls-terminator,sasl/mechanisms,sasl/raw-token,sasl/wrong-credentials}.ts":
    "test/integration/kafka-security.test.ts",
  "hub/kafka/{alter-topic-config,topic-ids}.ts": "test/unit/hub/kafka/handlers/topics.test.ts",
  "hub/kafka/fetch-read.ts": "test/unit/hub/kafka/handlers/fetch.test.ts",
  "hub/topics/record-errors.ts": "test/unit/hub/topics/stored-form.test.ts",
  // The uplink's core over a simulated link, and its shell over real sockets that are cut at every byte.
  "agent/ledger/{ledger-table,loss-row}.ts": "test/unit/agent/ledger/loss-ledger.test.ts",
  "agent/uplink/{lane,lane-plans,lane-sender,ready-lanes,send-window,uplink-events}.ts":
    "test/unit/agent/uplink/simulation.test.ts",
  "agent/uplink/{core-runner,epoch-store,hub-connection,uplink-runner}.ts": "test/integration/uplink/*.test.ts",
  "hub/uplink/{agent-connection,agent-session,agent-topics,server}.ts": "test/integration/uplink/*.test.ts",
  "shared/uplink/plain-cbor.ts": "test/unit/shared/uplink/frame-codec.test.ts",
  "hub/http/status.ts": "test/integration/hub/http/server.test.ts",
  "hub/http/live/{live-starts,sse-routes}.ts": "test/integration/hub/http/live.test.ts",
  "hub/http/live/{group-member,group-session,live-connection,live-socket}.ts":
    "test/integration/hub/http/live-socket.test.ts",
  "hub/http/api/{api,*-routes,incoming-records,record-producer,schemas,services,validation}.ts":
    "test/integration/hub/http/api.test.ts",
};

suite("tidy", () => {
  for (const [name, text] of generatedDocs()) {
    test(`docs/${name} is what the code says; npm run docs writes it`, () => {
      assert.equal(read(`docs/${name}`), text);
    });
  }

  test("every source that does something has a test that mirrors it, or one named here", () => {
    const tests = new Set(filesOf("test/**/*.test.ts").map((file) => file.replace(/^test\/[a-z]+\//, "")));
    const untested = sources.filter((file) => !tests.has(file.replace(/\.ts$/, ".test.ts")) && hasLogic(read(file)));
    const exempt = new Set<string>();
    for (const [pattern, by] of Object.entries(coveredElsewhere)) {
      assert.ok(filesOf(by).length > 0, `${by} is not there`);
      const matched = filesOf(pattern).filter((file) => untested.includes(file));
      assert.ok(matched.length > 0, `${pattern} needs no exception any more`);
      for (const file of matched) exempt.add(file);
    }
    assert.deepEqual(
      untested.filter((file) => !exempt.has(file)),
      [],
    );
  });

  test("tests clean up by onCleanUp, in reverse: t.after would remove the data of what still runs", () => {
    const own = ["test/support/clean-up.ts", "test/unit/support/clean-up.test.ts"];
    const files = filesOf("test/**/*.ts").filter((file) => !own.includes(file));
    assert.deepEqual(
      files.filter((file) => /\bt\.after\(/.test(read(file)) && file !== "test/tidy.test.ts"),
      [],
    );
  });

  test(`no source has more than ${LINES_MAX} lines of code`, () => {
    const long = sources.filter((file) => linesOfCode(read(file)) > LINES_MAX);
    assert.deepEqual(long, []);
  });

  test("nothing is left for later, and no machine of ours is named", () => {
    // Put together here, so that this file does not find itself.
    const words = [
      ["TO", "DO"],
      ["FIX", "ME"],
      ["XX", "X"],
    ].map((parts) => parts.join(""));
    const hosts = ["registry.npm" + "js.org", "npm" + "mirror"];
    const places = ["work", "root", "home"].map((name) => `/${name}/`);
    const forbidden = new RegExp(`\\b(${words.join("|")})\\b|${hosts.join("|")}|(?<![\\w.*)\\]])(${places.join("|")})`);
    const found = everything.flatMap((file) => {
      const match = forbidden.exec(read(file));
      return match === null ? [] : [`${file}: ${match[0]}`];
    });
    assert.deepEqual(found, []);
  });

  test("no test is left out", () => {
    const pattern = /\b(?:test|suite|it|describe)\.(?:only|skip|todo)\(|\{ (?:only|skip|todo): true/;
    assert.deepEqual(
      filesOf("test/**/*.ts").filter((file) => file !== "test/tidy.test.ts" && pattern.test(read(file))),
      [],
    );
  });

  test("each crash test runs once: alone if it measures time or memory, else two at a time", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const patternOf = (name: string): string => /"(test\/crash\/[^"]+)"/.exec(scripts[name] ?? "")?.[1] ?? "";
    const run = ["test:crash:pairs", "test:crash:alone"].flatMap((name) => filesOf(patternOf(name)));
    assert.deepEqual(run.toSorted(), filesOf("test/crash/**/*.test.ts").toSorted());
    const named = /\((.*)\)/.exec(patternOf("test:crash:alone"))?.[1]?.split("|") ?? [];
    for (const name of named) assert.equal(filesOf(`test/crash/${name}.test.ts`).length, 1, name);
  });

  test("the lock file fits package.json and names no download address", () => {
    const lock = JSON.parse(read("package-lock.json")) as { packages: Record<string, Record<string, unknown>> };
    const manifest = JSON.parse(read("package.json")) as Record<string, unknown>;
    for (const kind of ["dependencies", "optionalDependencies", "devDependencies"]) {
      assert.deepEqual(lock.packages[""]?.[kind], manifest[kind], kind);
    }
    assert.doesNotMatch(read("package-lock.json"), /"resolved"/);
  });

  test("every file that the linter holds to be pure is there", () => {
    const lint = read(".oxlintrc.json");
    const lists = [...lint.matchAll(/"files": \[([^\]]*)\]/g)].flatMap(([, list = ""]) =>
      [...list.matchAll(/"([^"]+)"/g)].map(([, pattern = ""]) => pattern),
    );
    assert.ok(lists.length > 10);
    for (const pattern of lists.flatMap(alternatives)) {
      assert.ok(filesOf(pattern).length > 0, `${pattern} in .oxlintrc.json matches nothing`);
    }
  });

  test("links between the documents lead somewhere", () => {
    for (const file of filesOf("*.md", "docs/**/*.md")) {
      for (const [, target = ""] of read(file).matchAll(/\]\((?!https?:)([^)#]+)/g)) {
        const place = path.join(path.dirname(file), target);
        assert.ok(globSync(place, { cwd: root }).length > 0, `${file} links to ${target}`);
      }
    }
  });
});

/** Functions or classes; types, tables and constants need no test of their own. */
function hasLogic(source: string): boolean {
  return /^(?:export )?(?:async )?(?:function|class)\b|=>\s*\{$/m.test(source);
}

function linesOfCode(source: string): number {
  const withoutComments = source.replaceAll(/^\s*\/\*[\s\S]*?\*\//gm, "").replaceAll(/^\s*\/\/.*$/gm, "");
  return withoutComments.split("\n").filter((line) => line.trim() !== "").length;
}

/** "a/{b,c}.ts" as "a/b.ts" and "a/c.ts". */
function alternatives(pattern: string): string[] {
  const match = /^(.*)\{([^}]*)\}(.*)$/.exec(pattern);
  if (match === null) return [pattern];
  const [, before = "", list = "", after = ""] = match;
  return list.split(",").flatMap((each) => alternatives(`${before}${each}${after}`));
}
