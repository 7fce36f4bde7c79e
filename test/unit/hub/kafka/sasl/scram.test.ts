import assert from "node:assert/strict";
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import { suite, test } from "node:test";
import { deriveCredential, scramMechanisms } from "../../../../../hub/access/scram-credential.ts";
import type { ScramMechanism } from "../../../../../hub/access/scram-credential.ts";
import { beginScram, finishScram } from "../../../../../hub/kafka/sasl/scram.ts";

/** RFC 7677, section 3. */
const SALT = Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64");
const SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const NONCE = `rOprNGfwEbeRWgbNEkqO${SERVER_NONCE}`;
const CLIENT_FIRST = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST = `r=${NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;
const PROOF = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const CLIENT_FINAL = `c=biws,r=${NONCE},p=${PROOF}`;
const SERVER_FINAL = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

const credentialFor = (mechanism: ScramMechanism, password = "pencil") =>
  deriveCredential({ mechanism, password, salt: SALT, iterations: 4096 });
const credentials = {
  "SCRAM-SHA-256": await credentialFor("SCRAM-SHA-256"),
  "SCRAM-SHA-512": await credentialFor("SCRAM-SHA-512"),
};

const begin = (first = CLIENT_FIRST, serverNonce = SERVER_NONCE, mechanism: ScramMechanism = "SCRAM-SHA-256") =>
  beginScram(Buffer.from(first), { credentialOf: () => credentials[mechanism], serverNonce });
const failed = { code: "SASL_AUTHENTICATION_FAILED" };

/** The client's side, written down from RFC 5802, section 3. */
function clientFinal(
  mechanism: ScramMechanism,
  serverFirst: string,
  options: { password?: string; binding?: string; nonce?: string } = {},
) {
  const { password = "pencil", binding = "biws", nonce = /^r=([^,]+)/.exec(serverFirst)?.[1] } = options;
  const { digest, keyBytes } = scramMechanisms[mechanism];
  const salted = pbkdf2Sync(password, SALT, 4096, keyBytes, digest);
  const clientKey = createHmac(digest, salted).update("Client Key").digest();
  const storedKey = createHash(digest).update(clientKey).digest();
  const withoutProof = `c=${binding},r=${nonce}`;
  const message = `${CLIENT_FIRST.slice(3)},${serverFirst},${withoutProof}`;
  const signature = createHmac(digest, storedKey).update(message).digest();
  const proof = clientKey.map((byte, index) => byte ^ (signature[index] ?? 0));
  return Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString("base64")}`);
}

suite("SCRAM", () => {
  test("the exchange of RFC 7677", () => {
    const exchange = begin();
    assert.equal(exchange.serverFirst, SERVER_FIRST);
    assert.equal(exchange.user, "user");
    assert.equal(finishScram(exchange, Buffer.from(CLIENT_FINAL)), SERVER_FINAL);
  });

  for (const mechanism of ["SCRAM-SHA-256", "SCRAM-SHA-512"] as const) {
    test(`${mechanism}: the right password is taken, another is not`, () => {
      const exchange = begin(CLIENT_FIRST, "server", mechanism);
      assert.match(finishScram(exchange, clientFinal(mechanism, exchange.serverFirst)), /^v=[A-Za-z0-9+/]+=*$/);
      const wrong = clientFinal(mechanism, exchange.serverFirst, { password: "pen" });
      assert.throws(() => finishScram(exchange, wrong), { ...failed, message: /user name or password is wrong/ });
    });
  }

  test("a final message recorded from another exchange is refused by its nonce (CVE-2024-56128)", () => {
    const message = /the nonce is not that of this exchange/;
    assert.throws(() => finishScram(begin(CLIENT_FIRST, "another"), Buffer.from(CLIENT_FINAL)), { ...failed, message });
    for (const nonce of ["rOprNGfwEbeRWgbNEkqO", SERVER_NONCE, `${NONCE}x`, NONCE.slice(0, -1)]) {
      assert.throws(() => finishScram(begin(), Buffer.from(`c=biws,r=${nonce},p=${PROOF}`)), { ...failed, message });
    }
  });

  test("a client nonce in front of the joined one, as librdkafka before 2.6.1 sends it, is taken with the right proof", () => {
    const exchange = begin();
    const twice = `rOprNGfwEbeRWgbNEkqO${NONCE}`;
    finishScram(exchange, clientFinal("SCRAM-SHA-256", exchange.serverFirst, { nonce: twice }));
    const wrong = clientFinal("SCRAM-SHA-256", exchange.serverFirst, { nonce: twice, password: "pen" });
    assert.throws(() => finishScram(exchange, wrong), { ...failed, message: /password is wrong/ });
    const replayed = clientFinal("SCRAM-SHA-256", exchange.serverFirst, { nonce: `x${NONCE}` });
    assert.throws(() => finishScram(exchange, replayed), { ...failed, message: /nonce/ });
  });

  test("the channel binding must be that of the first message", () => {
    const message = /channel binding/;
    assert.throws(() => finishScram(begin(), Buffer.from(CLIENT_FINAL.replace("biws", "eSws"))), {
      ...failed,
      message,
    });
    // Whoever strips "y" to "n" on the way is found out, although the proof fits what the client sent.
    const stripped = begin(CLIENT_FIRST);
    const sent = clientFinal("SCRAM-SHA-256", stripped.serverFirst, { binding: "eSws" });
    assert.throws(() => finishScram(stripped, sent), { ...failed, message });
    const y = begin(CLIENT_FIRST.replace("n,,", "y,,"));
    finishScram(y, clientFinal("SCRAM-SHA-256", y.serverFirst, { binding: "eSws" }));
  });

  test("a proof of another length is refused", () => {
    const long = Buffer.alloc(64).toString("base64");
    for (const proof of [long, "AAAA"]) {
      assert.throws(() => finishScram(begin(), Buffer.from(`c=biws,r=${NONCE},p=${proof}`)), failed);
    }
  });

  test("any single changed bit of the final message is refused", () => {
    const final = Buffer.from(CLIENT_FINAL);
    for (let bit = 0; bit < final.length * 8; bit++) {
      const changed = Buffer.from(final);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(() => finishScram(begin(), changed), failed, `bit ${bit}`);
    }
  });
});
