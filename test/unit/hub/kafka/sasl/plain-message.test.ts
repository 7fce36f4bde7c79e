import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePlain } from "../../../../../hub/kafka/sasl/plain-message.ts";

test("user and password, with and without an authorization identity", () => {
  for (const text of ["\0alice\0secret", "alice\0alice\0secret"]) {
    assert.deepEqual(parsePlain(Buffer.from(text)), { user: "alice", password: "secret" });
  }
  assert.equal(parsePlain(Buffer.from("\0a\0пароль")).password, "пароль");
});

test("anything else is refused, and nothing of it is told", () => {
  for (const text of [
    "",
    "\0",
    "\0\0",
    "\0alice",
    "\0alice\0",
    "\0\0secret",
    "alice\0secret",
    "\0a\0secret\0x",
    "bob\0alice\0secret",
  ]) {
    assert.throws(
      () => parsePlain(Buffer.from(text)),
      (error: Error & { code?: string }) =>
        error.code === "SASL_AUTHENTICATION_FAILED" && !/secret|alice/.test(error.message),
      JSON.stringify(text),
    );
  }
  assert.throws(() => parsePlain(Buffer.from([0, 0xff, 0, 0x61])), { code: "SASL_AUTHENTICATION_FAILED" });
});
