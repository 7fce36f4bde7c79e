import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  UserDirectory,
  VERIFICATIONS_AT_ONCE_MAX,
  VERIFICATIONS_WAITING_MAX,
} from "../../../../hub/access/user-directory.ts";
import { testUser } from "../../../support/test-users.ts";

const alice = await testUser("alice", "pencil");
const bob = await testUser("bob", "ruler");

suite("user directory", () => {
  test("a password is its user's own", async () => {
    const users = new UserDirectory([alice, bob]);
    assert.equal(await users.verifyPassword("alice", "pencil"), true);
    assert.equal(await users.verifyPassword("alice", "ruler"), false);
    assert.equal(await users.verifyPassword("alice", ""), false);
    assert.equal(await users.verifyPassword("carol", "pencil"), false);
  });

  test("an unknown user has a credential that looks like a real one and stays the same over restarts", () => {
    const [before, after] = [new UserDirectory([alice, bob]), new UserDirectory([alice, bob])];
    for (const mechanism of ["SCRAM-SHA-256", "SCRAM-SHA-512"] as const) {
      const real = before.scramCredential("alice", mechanism);
      const fake = before.scramCredential("carol", mechanism);
      assert.deepEqual(
        [fake.mechanism, fake.iterations, fake.salt.length],
        [mechanism, real.iterations, real.salt.length],
      );
      assert.equal(fake.storedKey.length, real.storedKey.length);
      assert.deepEqual(after.scramCredential("carol", mechanism), fake);
      assert.notDeepEqual(before.scramCredential("dave", mechanism).salt, fake.salt);
    }
  });

  test("who has no credential of a mechanism is unknown to it", () => {
    const [only256] = alice.credentials;
    const users = new UserDirectory([{ ...alice, credentials: only256 === undefined ? [] : [only256] }]);
    assert.deepEqual(users.scramCredential("alice", "SCRAM-SHA-256"), only256);
    assert.equal(users.scramCredential("alice", "SCRAM-SHA-512").storedKey.length, 64);
  });

  test("a password is checked against whichever credential its user has", async () => {
    const [only256, only512] = alice.credentials.map((each) => [each]);
    const users = new UserDirectory([
      { ...alice, credentials: only256 ?? [] },
      { ...alice, name: "carol", credentials: only512 ?? [] },
    ]);
    for (const name of ["alice", "carol"]) assert.equal(await users.verifyPassword(name, "pencil"), true);
    assert.equal(await users.verifyPassword("carol", "guess"), false);
  });

  test("names of an object's own properties are nobody", async () => {
    const users = new UserDirectory([alice]);
    for (const name of ["__proto__", "constructor", "toString"]) {
      assert.equal(await users.verifyPassword(name, "pencil"), false);
    }
  });

  test("few passwords are checked at once, more wait, too many are refused, and then there is room again", async () => {
    const users = new UserDirectory([alice]);
    const count = VERIFICATIONS_AT_ONCE_MAX + VERIFICATIONS_WAITING_MAX;
    const admitted = Array.from({ length: count }, () => users.verifyPassword("alice", "pencil"));
    await assert.rejects(users.verifyPassword("alice", "pencil"), { code: "OVERLOADED" });
    assert.ok((await Promise.all(admitted)).every(Boolean));
    assert.equal(await users.verifyPassword("alice", "pencil"), true);
  });
});
