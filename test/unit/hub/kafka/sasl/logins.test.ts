import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { Logins, openGate } from "../../../../../hub/kafka/sasl/logins.ts";
import type { Newcomer } from "../../../../../hub/kafka/sasl/logins.ts";
import { kafkaDefaults } from "../../../../../hub/kafka/options.ts";
import { testDirectory } from "../../../../support/test-users.ts";

const users = await testDirectory({ alice: "pencil" });
const options = { ...kafkaDefaults, loginFailuresPerMinuteMax: 2, loginMsMax: 5000 };
const right = Buffer.from("\0alice\0pencil");

function desk(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const logins = new Logins({ users, clock: { wallMs: () => 0, monotonicMs: () => 0 }, options });
  const begin = (newcomer: Partial<Newcomer> = {}) =>
    logins.begin({
      address: "192.0.2.1",
      isEncrypted: true,
      onLogin: () => undefined,
      onFailure: () => undefined,
      onTooLate: () => undefined,
      ...newcomer,
    });
  return { logins, begin };
}

suite("logins", () => {
  test("before the login requests are small; afterwards they are as large as without users", async (t) => {
    const { session, gate } = desk(t).begin();
    assert.deepEqual([gate.frameBytesMin, gate.frameBytesMax], [8, options.loginRequestBytesMax]);
    session.handshake("PLAIN", 0);
    assert.deepEqual([gate.frameBytesMin, gate.frameBytesMax], [1, options.loginRequestBytesMax]);
    await session.authenticate(right);
    const open = openGate(options);
    assert.deepEqual([gate.frameBytesMin, gate.frameBytesMax], [open.frameBytesMin, open.frameBytesMax]);
    assert.deepEqual([gate.isOver, open.isOver], [false, false]);
  });

  test("who does not log in within loginMsMax is too late; a login or the end of the connection stops the clock", async (t) => {
    const { begin } = desk(t);
    const late: string[] = [];
    begin({ onTooLate: ({ code }) => late.push(`silent: ${code}`) });
    begin({ onTooLate: () => late.push("gone") }).abandon();
    const { session } = begin({ onTooLate: () => late.push("logged in") });
    session.handshake("PLAIN", 1);
    await session.authenticate(right);
    t.mock.timers.tick(options.loginMsMax - 1);
    assert.deepEqual(late, []);
    t.mock.timers.tick(1);
    assert.deepEqual(late, ["silent: TIMEOUT"]);
  });

  test("failures are counted, and too many block their address", async (t) => {
    const { logins, begin } = desk(t);
    const fail = async (address: string): Promise<void> => {
      const { session } = begin({ address });
      session.handshake("PLAIN", 1);
      await session.authenticate(Buffer.from("\0alice\0guess"));
    };
    await fail("192.0.2.1");
    assert.equal(logins.isBlocked("192.0.2.1"), false);
    await fail("192.0.2.1");
    assert.equal(logins.isBlocked("192.0.2.1"), true);
    assert.equal(logins.isBlocked("192.0.2.2"), false);
    for (let count = 0; count < 5; count++) await fail("127.0.0.1");
    assert.equal(logins.isBlocked("127.0.0.1"), false);
    assert.equal(logins.failuresTotal, 7);
  });

  test("a client that is only set up wrongly is not taken for one that guesses", (t) => {
    const { logins, begin } = desk(t);
    for (let count = 0; count < 5; count++) begin().session.handshake("GSSAPI", 1);
    assert.deepEqual([logins.isBlocked("192.0.2.1"), logins.failuresTotal], [false, 5]);
  });

  test("PLAIN is offered over TLS, and to this machine without", (t) => {
    const { begin } = desk(t);
    const offered = (newcomer: Partial<Newcomer>) =>
      begin(newcomer).session.handshake("", 1).mechanisms.includes("PLAIN");
    assert.equal(offered({ isEncrypted: true }), true);
    assert.equal(offered({ isEncrypted: false, address: "127.0.0.1" }), true);
    assert.equal(offered({ isEncrypted: false }), false);
  });
});
