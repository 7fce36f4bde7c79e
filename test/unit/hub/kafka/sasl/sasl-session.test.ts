/** What may come when on one connection; the mechanisms themselves have tests of their own. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Principal } from "../../../../../hub/access/principal.ts";
import { offeredMechanisms } from "../../../../../hub/kafka/sasl/mechanisms.ts";
import { SaslSession, TOKEN_BYTES_MAX } from "../../../../../hub/kafka/sasl/sasl-session.ts";
import type { LoginFailure } from "../../../../../hub/kafka/sasl/sasl-session.ts";
import { testDirectory } from "../../../../support/test-users.ts";

const users = await testDirectory({ alice: "pencil", bob: "ruler" });
const METADATA = 3;
const API_VERSIONS = 18;
const SASL_HANDSHAKE = 17;
const SASL_AUTHENTICATE = 36;

const right = Buffer.from("\0alice\0pencil");
const wrong = Buffer.from("\0alice\0guess");

function begin(isPrivate = true) {
  const failures: LoginFailure[] = [];
  const logins: Principal[] = [];
  const session = new SaslSession({
    users,
    mechanisms: offeredMechanisms({ isPrivate }),
    onLogin: (principal) => logins.push(principal),
    onFailure: (failure) => failures.push(failure),
  });
  return { session, failures, logins };
}

const served = (session: SaslSession): number[] =>
  [METADATA, SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE].filter((key) => session.mayServe(key));

suite("SASL session", () => {
  test("handshake and token open the connection", async () => {
    const { session, logins, failures } = begin();
    assert.deepEqual(served(session), [SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE]);
    assert.equal(session.handshake("PLAIN", 1).error, null);
    assert.deepEqual(served(session), [SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE]);
    assert.deepEqual(await session.authenticate(right), { error: null, reply: Buffer.alloc(0) });
    assert.deepEqual(served(session), [METADATA, SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE]);
    assert.deepEqual([logins, failures, session.isOver], [[{ name: "alice" }], [], false]);
  });

  test("PLAIN is offered only where nobody else can read along", () => {
    const { session } = begin(false);
    const answer = session.handshake("PLAIN", 1);
    assert.deepEqual(answer, { error: "UNSUPPORTED_SASL_MECHANISM", mechanisms: ["SCRAM-SHA-512", "SCRAM-SHA-256"] });
    assert.ok(session.isOver);
  });

  for (const [what, run, error] of [
    ["a token before a handshake", (s: SaslSession) => s.authenticate(right), "ILLEGAL_SASL_STATE"],
    ["a mechanism that is none", async (s: SaslSession) => s.handshake("__proto__", 1), "UNSUPPORTED_SASL_MECHANISM"],
    [
      "a second handshake in the midst of a login",
      async (s: SaslSession) => (s.handshake("PLAIN", 1), s.handshake("PLAIN", 1)),
      "ILLEGAL_SASL_STATE",
    ],
    [
      "a wrong password",
      (s: SaslSession) => (s.handshake("PLAIN", 1), s.authenticate(wrong)),
      "SASL_AUTHENTICATION_FAILED",
    ],
    [
      "a token after the login",
      async (s: SaslSession) => (s.handshake("PLAIN", 1), await s.authenticate(right), s.authenticate(right)),
      "ILLEGAL_SASL_STATE",
    ],
    [
      "a token that is too large",
      (s: SaslSession) => (s.handshake("PLAIN", 1), s.authenticate(Buffer.alloc(TOKEN_BYTES_MAX + 1))),
      "SASL_AUTHENTICATION_FAILED",
    ],
    [
      "an empty token",
      (s: SaslSession) => (s.handshake("SCRAM-SHA-256", 1), s.authenticate(Buffer.alloc(0))),
      "SASL_AUTHENTICATION_FAILED",
    ],
    [
      "a token of another mechanism",
      (s: SaslSession) => (s.handshake("SCRAM-SHA-256", 1), s.authenticate(right)),
      "SASL_AUTHENTICATION_FAILED",
    ],
  ] as const) {
    test(`${what} ends the connection, once and for all`, async () => {
      const { session, failures } = begin();
      assert.equal((await run(session)).error, error);
      assert.ok(session.isOver);
      assert.deepEqual(
        failures.map((failure) => failure.error.code),
        [error],
      );
      assert.deepEqual(served(session), []);
      assert.equal((await session.authenticate(right)).error, "ILLEGAL_SASL_STATE");
      assert.equal(session.handshake("PLAIN", 1).error, "ILLEGAL_SASL_STATE");
      assert.equal(failures.length, 1);
    });
  }

  test("a token while one is being checked ends the connection, and the first one's success counts nothing", async () => {
    const { session, logins } = begin();
    session.handshake("PLAIN", 1);
    const [first, second] = await Promise.all([session.authenticate(right), session.authenticate(right)]);
    assert.deepEqual([first.error, second.error], ["ILLEGAL_SASL_STATE", "ILLEGAL_SASL_STATE"]);
    assert.deepEqual([session.isOver, logins], [true, []]);
  });

  test("a failure is told with whom it was about and never with a secret", async () => {
    const { session, failures } = begin();
    session.handshake("PLAIN", 1);
    await session.authenticate(Buffer.from(`\0${"m\n".repeat(100)}\0guess`));
    const [failure] = failures;
    assert.equal(failure?.mechanism, "PLAIN");
    assert.equal(failure?.user, `${"m\n".repeat(32)}…`);
    assert.ok(!JSON.stringify(failures).includes("guess"));
  });

  test("an unknown user gets as far as a known one with a wrong password, and hears the same", async () => {
    const answers = await Promise.all(
      ["alice", "mallory"].map(async (user) => {
        const { session } = begin();
        session.handshake("SCRAM-SHA-256", 1);
        const first = await session.authenticate(Buffer.from(`n,,n=${user},r=abc`));
        assert.equal(first.error, null);
        const text = first.error === null ? first.reply.toString() : "";
        const nonce = /^r=([^,]+),s=[^,]{24},i=4096$/.exec(text)?.[1];
        const proof = Buffer.alloc(32, 1).toString("base64");
        return session.authenticate(Buffer.from(`c=biws,r=${nonce},p=${proof}`));
      }),
    );
    assert.deepEqual(answers[0], answers[1]);
  });

  test("the same user may log in once more, and is served meanwhile; another one may not", async () => {
    const { session, logins } = begin();
    session.handshake("PLAIN", 1);
    await session.authenticate(right);
    session.handshake("PLAIN", 1);
    assert.ok(session.mayServe(METADATA));
    assert.equal((await session.authenticate(right)).error, null);
    session.handshake("PLAIN", 1);
    assert.equal((await session.authenticate(Buffer.from("\0bob\0ruler"))).error, "SASL_AUTHENTICATION_FAILED");
    assert.deepEqual([session.isOver, logins.length], [true, 1]);
  });

  test("raw tokens are expected after a handshake of version 0, until the login is done", async () => {
    const { session } = begin();
    assert.equal(session.takesRawTokens, false);
    session.handshake("PLAIN", 0);
    assert.equal(session.takesRawTokens, true);
    await session.authenticate(right);
    assert.equal(session.takesRawTokens, false);
  });
});
