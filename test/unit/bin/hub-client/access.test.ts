import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import { hubAccess } from "../../../../bin/hub-client/access.ts";
import { tempDir } from "../../../support/temp-dir.ts";

const kafka = { host: "hub.example", port: 9092 };
const plain = { kafka, tls: false };
const nowhere = { env: {} };

suite("how a command reaches the hub", () => {
  test("without anything said: in the open and as nobody", () => {
    assert.deepEqual(hubAccess(plain, nowhere), kafka);
    assert.deepEqual(hubAccess(plain, { env: { TRIBUTARY_USER: "", TRIBUTARY_PASSWORD: "" } }), kafka);
  });

  test("user and password from the environment; options outrank it", (t) => {
    const file = path.join(tempDir(t), "password");
    writeFileSync(file, "from file\n");
    const env = { TRIBUTARY_USER: "alice", TRIBUTARY_PASSWORD: "pencil" };
    assert.deepEqual(hubAccess(plain, { env }).login, { user: "alice", password: "pencil" });
    assert.deepEqual(hubAccess({ ...plain, user: "bob" }, { env }).login, { user: "bob", password: "pencil" });
    const { login } = hubAccess({ ...plain, user: "bob", passwordFile: file }, { env });
    assert.deepEqual(login, { user: "bob", password: "from file" });
  });

  test("a user without a password, a password without a user, and a file that is not there are told", (t) => {
    const missing = path.join(tempDir(t), "missing");
    const refused = (message: RegExp) => ({ name: "UsageError", message });
    assert.throws(() => hubAccess({ ...plain, user: "alice" }, nowhere), refused(/password of 'alice' is missing/));
    assert.throws(() => hubAccess({ ...plain, passwordFile: missing }, nowhere), refused(/needs a user/));
    const both = { ...plain, user: "alice", passwordFile: missing };
    assert.throws(() => hubAccess(both, nowhere), refused(/--password-file: .* there is no such file/));
    assert.throws(() => hubAccess({ ...plain, caFile: missing }, nowhere), refused(/--ca-file: /));
  });

  test("--tls takes the issuers that the machine trusts, --ca-file its own", (t) => {
    const file = path.join(tempDir(t), "ca.crt");
    writeFileSync(file, "PEM");
    assert.deepEqual(hubAccess({ kafka, tls: true }, nowhere).tls, {});
    assert.deepEqual(hubAccess({ kafka, tls: false, caFile: file }, nowhere).tls, { ca: "PEM" });
  });
});
