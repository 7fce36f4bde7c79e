import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpLogins, LOGINS_REMEMBERED_MAX, LOGIN_REMEMBERED_MS } from "../../../../hub/access/http-logins.ts";
import { anonymous } from "../../../../hub/access/principal.ts";
import { testDirectory } from "../../../support/test-users.ts";

const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;

async function logins() {
  const users = await testDirectory({ anna: "se:cret" });
  const time = { ms: 0, verified: 0 };
  const verify = users.verifyPassword.bind(users);
  users.verifyPassword = (name, password) => {
    time.verified++;
    return verify(name, password);
  };
  const clock = { wallMs: () => 0, monotonicMs: () => time.ms };
  return { time, http: new HttpLogins({ users, clock, failuresPerMinuteMax: 2 }) };
}

test("without users everybody is let in", async () => {
  const clock = { wallMs: () => 0, monotonicMs: () => 0 };
  const http = new HttpLogins({ users: undefined, clock, failuresPerMinuteMax: 1 });
  assert.equal(await http.principalOf(undefined, "192.0.2.1"), anonymous);
});

test("who is right is known for a minute; a password may hold a colon", async () => {
  const { time, http } = await logins();
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(await http.principalOf(basic("anna:se:cret"), "192.0.2.1"), { name: "anna" });
  }
  assert.equal(time.verified, 1);
  time.ms = LOGIN_REMEMBERED_MS;
  await http.principalOf(basic("anna:se:cret"), "192.0.2.1");
  assert.equal(time.verified, 2);
});

test("everything else is UNAUTHORIZED, and costs as much for users that do not exist", async () => {
  const { time, http } = await logins();
  for (const header of [undefined, "", "Bearer abc", "Basic ***", basic("anna"), `Basic ${"A".repeat(2000)}`]) {
    await assert.rejects(http.principalOf(header, "127.0.0.1"), /UNAUTHORIZED/, header);
  }
  assert.equal(time.verified, 0);
  for (const header of [basic("anna:secret"), basic("nobody:se:cret"), basic(":")]) {
    await assert.rejects(http.principalOf(header, "127.0.0.1"), /UNAUTHORIZED: user name or password is wrong/);
  }
  assert.equal(time.verified, 3);
});

test("an address that guesses waits, and those that are known go on", async () => {
  const { http } = await logins();
  await http.principalOf(basic("anna:se:cret"), "192.0.2.1");
  for (let i = 0; i < 2; i++) await assert.rejects(http.principalOf(basic(`anna:${i}`), "192.0.2.1"), /UNAUTHORIZED/);
  await assert.rejects(http.principalOf(basic("anna:2"), "192.0.2.1"), /OVERLOADED/);
  assert.deepEqual(await http.principalOf(basic("anna:se:cret"), "192.0.2.1"), { name: "anna" });
});

test("so many are remembered; with one more all are checked again", async () => {
  let verified = 0;
  const users = {
    verifyPassword: async () => {
      verified++;
      return true;
    },
  };
  const http = new HttpLogins({ users, clock: { wallMs: () => 0, monotonicMs: () => 0 }, failuresPerMinuteMax: 1 });
  const ask = (user: number) => http.principalOf(basic(`user${user}:x`), "192.0.2.1");
  for (let user = 0; user < LOGINS_REMEMBERED_MAX; user++) await ask(user);
  await ask(0);
  assert.equal(verified, LOGINS_REMEMBERED_MAX);
  await ask(LOGINS_REMEMBERED_MAX);
  await ask(0);
  assert.equal(verified, LOGINS_REMEMBERED_MAX + 2);
});
