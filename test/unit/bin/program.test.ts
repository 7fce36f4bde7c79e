import assert from "node:assert/strict";
import { test } from "node:test";
import { commandTable } from "../../../bin/command-table.ts";
import { runCommandLine } from "../../../bin/program.ts";
import { fakeContext } from "../../support/command.ts";

async function run(...args: string[]): Promise<{ exitCode: number; out: string; err: string }> {
  const { context, out, err } = fakeContext();
  const exitCode = await runCommandLine(args, context);
  return { exitCode, out: out(), err: err() };
}

test("without a command, and with --help, every command is listed with examples", async () => {
  for (const args of [[], ["--help"], ["help"]]) {
    const { exitCode, out } = await run(...args);
    assert.equal(exitCode, 0);
    for (const { name, summary } of commandTable) assert.ok(out.includes(`${name} `) && out.includes(summary), name);
    assert.match(out, /Start here:/);
  }
});

for (const { name } of commandTable) {
  test(`${name} --help: a purpose, the options, and more below them`, async () => {
    const { exitCode, out } = await run(name, "--help");
    assert.equal(exitCode, 0);
    assert.match(out, new RegExp(`^Usage: tributary ${name} `));
    assert.match(out, /Options:/);
    assert.doesNotMatch(out, /default: (false|\[\]|undefined)/);
    assert.deepEqual(await run("help", name), { exitCode, out, err: "" });
  });
}

test("the defaults of hub and agent are in their help", async () => {
  assert.match((await run("hub", "--help")).out, /--kafka <HOST:PORT>.*\(default: 127\.0\.0\.1:9092\)/);
  assert.match((await run("agent", "--help")).out, /--mqtt <HOST:PORT>.*\(default: 127\.0\.0\.1:1883\)/);
});

test("a misspelt command or option is refused with the likely one, and 64", async () => {
  assert.deepEqual(await run("topcs"), {
    exitCode: 64,
    out: "",
    err: "error: unknown command 'topcs'\n(Did you mean topics?)\n",
  });
  const { exitCode, err } = await run("hub", "--htp", "x");
  assert.equal(exitCode, 64);
  assert.match(err, /Did you mean --http\?/);
});

test("a value that does not fit is refused with the name of its option", async () => {
  for (const args of [
    ["consume", "t", "--count", "0"],
    ["consume", "t", "--kafka", "nowhere"],
    ["consume", "t", "--format", "xml"],
    ["topics", "create", "t", "--partitions", "many"],
    ["groups", "reset", "g", "--topic", "t", "--to", "latest", "--partition", "-1"],
  ]) {
    const { exitCode, err } = await run(...args);
    assert.equal(exitCode, 64, args.join(" "));
    assert.match(err, /error: option '--\w+ <[^>]+>' argument '[^']*' is invalid/, args.join(" "));
  }
});

test("options that contradict each other are refused before anything is connected", async () => {
  for (const [args, pattern] of [
    [["consume", "t", "--group", "g", "--from", "15m"], /groups reset g --topic t --to 15m/],
    [["consume", "t", "--group", "g", "--until-end"], /--until-end does not go with --group/],
    [["consume", "t", "--from", "soon"], /'soon' is not a position/],
    [["produce", "t", "--key", "k", "--key-separator", ":", "-m", "x"], /choose one/],
    [["produce", "t", "--header", "novalue", "-m", "x"], /NAME=VALUE/],
    [["topics", "create", "t", "--config", "novalue"], /KEY=VALUE/],
    [["groups", "delete", "g"], /add --yes/],
    [["log", "inspect", "data", "--records"], /add --topic/],
    [["route", "test", "a/+/b"], /wildcard/],
    [["route", "test", "a", "--qos", "3"], /--qos is 0, 1 or 2/],
  ] as const) {
    const { exitCode, err } = await run(...args);
    assert.equal(exitCode, 64, args.join(" "));
    assert.match(err, pattern);
  }
});

test("--version prints the version of the package", async () => {
  assert.match((await run("--version")).out, /^\d+\.\d+\.\d+\n$/);
});

test("every mistake of a configuration is listed, and the exit code is 78", async () => {
  const { exitCode, err } = await run("check", "hub", "--http", "0.0.0.0:7070", "--kafka", "nowhere");
  assert.equal(exitCode, 78);
  assert.match(err, /--http: http\.listen/);
  assert.match(err, /--kafka: kafka\.listen/);
  assert.match(err, /hint:/);
});
