/** The commands at a hub with users and TLS: what `users hash` prints is what they log in with. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { runCommandLine } from "../../../bin/program.ts";
import type { Environment } from "../../../bin/context.ts";
import { fakeContext } from "../../support/command.ts";
import { startCommand } from "../../support/run-command.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { testCertificate, writeCertificate } from "../../support/test-certificate.ts";

type Given = { readonly stdin?: string; readonly env?: Environment };

async function run(args: readonly string[], given: Given = {}) {
  const { context, out, err } = fakeContext(given);
  const exitCode = await runCommandLine(args, context);
  return { exitCode, out: out(), err: err() };
}

async function entryOf(name: string, password: string): Promise<string> {
  const { exitCode, out, err } = await run(["users", "hash", name], { stdin: `${password}\n` });
  assert.equal(exitCode, 0, err);
  return out.replace(/^users:\n/, "");
}

async function startSecureHub(t: TestContext) {
  const directory = tempDir(t);
  const certificate = await testCertificate();
  const { certFile, keyFile } = writeCertificate(directory, certificate);
  const admin = `${await entryOf("admin", "pencil")}    superuser: true\n`;
  const rules = "{ topic: t, operations: [read] }, { group: readers-, pattern: prefixed, operations: [read] }";
  const reader = `${await entryOf("reader", "ruler")}    acls: [${rules}]\n`;
  const listen = "http: { listen: 127.0.0.1:0 }\nkafka:\n  listen: 127.0.0.1:0\n";
  const config = path.join(directory, "hub.yaml");
  writeFileSync(config, `${listen}  tls: { certFile: ${certFile}, keyFile: ${keyFile} }\nusers:\n${admin}${reader}`);
  const data = path.join(directory, "data");
  const hub = startCommand(t, ["hub", "--config", config, "--data", data, "--log-level", "silent"]);
  const [line] = await hub.saw(/^\{.*\}\n/);
  const { kafka } = JSON.parse(line) as { kafka: string };
  const as = (user: string, password: string) => ({ TRIBUTARY_USER: user, TRIBUTARY_PASSWORD: password });
  const at = ["--kafka", kafka, "--ca-file", certFile];
  return {
    kafka,
    directory,
    certFile,
    at,
    admin: { env: as("admin", "pencil") },
    reader: { env: as("reader", "ruler") },
  };
}

async function succeed(args: readonly string[], given: Given): Promise<string> {
  const { exitCode, out, err } = await run(args, given);
  assert.equal(exitCode, 0, err);
  return out;
}

suite("commands at a hub with users and TLS", () => {
  test("each logs in as the user it is given", async (t) => {
    const { at, admin, directory } = await startSecureHub(t);
    const file = path.join(directory, "password");
    writeFileSync(file, "pencil\n", { mode: 0o600 });
    assert.match(
      await succeed(["topics", "create", "t", ...at, "--user", "admin", "--password-file", file], {}),
      /created/,
    );
    await succeed(["produce", "t", "-m", "one", ...at], admin);
    assert.equal(await succeed(["consume", "t", "--until-end", "--format", "value", ...at], admin), "one\n");
    const asGroup = ["consume", "t", "--group", "g", "--count", "1", "--format", "value"];
    assert.equal(await succeed([...asGroup, ...at], admin), "one\n");
    assert.match(await succeed(["groups", "list", ...at], admin), /^g\b/m);
    assert.match(await succeed(["topics", "list", ...at], admin), /^t\b/m);
  });

  test("a user may do what the rules give, and nothing else", async (t) => {
    const { at, admin, reader } = await startSecureHub(t);
    await succeed(["topics", "create", "t", ...at], admin);
    await succeed(["topics", "create", "hidden", ...at], admin);
    await succeed(["produce", "t", "-m", "one", ...at], admin);
    assert.equal(await succeed(["consume", "t", "--until-end", "--format", "value", ...at], reader), "one\n");
    const asGroup = ["consume", "t", "--group", "readers-1", "--count", "1", "--format", "value"];
    assert.equal(await succeed([...asGroup, ...at], reader), "one\n");
    assert.doesNotMatch(await succeed(["topics", "list", ...at], reader), /hidden/);
    const { exitCode, err } = await run(["produce", "t", "-m", "two", ...at], reader);
    assert.equal(exitCode, 1);
    assert.match(err, /AUTHORIZATION_FAILED/);
  });

  test("a wrong password, an unknown user and none at all are told apart from a hub that is not there", async (t) => {
    const { at, admin, reader } = await startSecureHub(t);
    for (const command of [
      ["topics", "list"],
      ["produce", "t", "-m", "x"],
      ["consume", "t"],
      ["groups", "list"],
    ]) {
      const wrong = await run([...command, ...at], { env: { ...admin.env, TRIBUTARY_PASSWORD: "ruler" } });
      assert.equal(wrong.exitCode, 1);
      assert.match(wrong.err, /the hub refused the password of 'admin'/);
      assert.doesNotMatch(wrong.err, /ruler/);
      const nobody = await run([...command, ...at]);
      assert.match(nobody.err, /has users, and none was given\n.*--user NAME/);
    }
    const unknown = await run(["topics", "list", ...at, "--user", "mallory"], reader);
    assert.match(unknown.err, /the hub refused the password of 'mallory'/);
  });

  test("a certificate that is not trusted, and TLS on one side only, are told", async (t) => {
    const { kafka, admin, directory } = await startSecureHub(t);
    const untrusted = await run(["topics", "list", "--kafka", kafka, "--tls"], admin);
    assert.deepEqual(
      [untrusted.exitCode, /is not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\)/.test(untrusted.err)],
      [69, true],
    );
    const plain = await run(["topics", "list", "--kafka", kafka]);
    assert.deepEqual([plain.exitCode, /If it speaks TLS, give --tls or --ca-file/.test(plain.err)], [69, true]);
    const args = ["hub", "--data", path.join(directory, "open"), "--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0"];
    const open = startCommand(t, [...args, "--log-level", "silent"]);
    const [, address = ""] = await open.saw(/"kafka":"([^"]+)"/);
    const secure = await run(["topics", "list", "--kafka", address, "--tls"], admin);
    assert.deepEqual([secure.exitCode, /leave --tls and --ca-file out/.test(secure.err)], [69, true]);
    const login = await run(["topics", "list", "--kafka", address], admin);
    assert.deepEqual([login.exitCode, /the hub has no users; 'admin' cannot log in/.test(login.err)], [1, true]);
  });

  test("a hub whose certificate cannot be used does not start, and ends with 78", async (t) => {
    const directory = tempDir(t);
    const env = { TRIBUTARY_KAFKA_TLS_CERT_FILE: "missing.crt", TRIBUTARY_KAFKA_TLS_KEY_FILE: "missing.key" };
    const listen = ["--http", "127.0.0.1:0", "--kafka", "127.0.0.1:0", "--log-level", "silent"];
    const { exitCode, err } = await run(["hub", "--data", directory, ...listen], { env });
    assert.equal(exitCode, 78);
    assert.match(err, /CERTIFICATE_INVALID: missing\.crt cannot be read: there is no such file/);
  });
});

suite("users hash", () => {
  test("two runs with one password print different salts", async () => {
    assert.notEqual(await entryOf("alice", "pencil"), await entryOf("alice", "pencil"));
  });

  test("names, passwords and iterations that would make trouble are refused with 64", async () => {
    for (const [args, stdin, message] of [
      [["a b"], "pencil", /cannot be a user's name/],
      [["ANONYMOUS"], "pencil", /cannot be a user's name/],
      [["alice"], "", /no password was given/],
      [["alice"], "\n", /the password is empty/],
      [["alice"], "pen\u00a0cil\n", /more than one form/],
      [["alice", "--iterations", "4095"], "pencil", /whole number from 4096/],
    ] as const) {
      const { exitCode, err } = await run(["users", "hash", ...args], { stdin });
      assert.deepEqual([exitCode, message.test(err)], [64, true], err);
    }
  });
});
