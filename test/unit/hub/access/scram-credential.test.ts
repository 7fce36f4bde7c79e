import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  ITERATIONS_MAX,
  ITERATIONS_MIN,
  deriveCredential,
  formatCredential,
  parseCredential,
  scramMechanismNames,
} from "../../../../hub/access/scram-credential.ts";
import { StreamError } from "../../../../shared/errors.ts";

/** RFC 7677, section 3, as PostgreSQL would store it. */
const RFC_7677 = { password: "pencil", salt: Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64"), iterations: 4096 };
const STORED_KEY = "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=";
const SERVER_KEY = "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

suite("credential", () => {
  test("what is derived from a password is what RFC 7677 has", async () => {
    const credential = await deriveCredential({ mechanism: "SCRAM-SHA-256", ...RFC_7677 });
    const expected = `SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$${STORED_KEY}:${SERVER_KEY}`;
    assert.equal(formatCredential(credential), expected);
  });

  for (const mechanism of scramMechanismNames) {
    test(`${mechanism}: what is written is read back`, async () => {
      const credential = await deriveCredential({ mechanism, ...RFC_7677 });
      assert.deepEqual(parseCredential(formatCredential(credential)), credential);
    });
  }

  const good = `SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$${STORED_KEY}:${SERVER_KEY}`;
  const mistakes: readonly [what: string, text: string][] = [
    ["an empty text", ""],
    ["a password", "pencil"],
    ["an unknown mechanism", good.replace("256", "1")],
    ["a mechanism that is a property of every object", good.replace("SCRAM-SHA-256", "constructor")],
    ["keys of the other mechanism", good.replace("256", "512")],
    ["too few iterations", good.replace("4096", String(ITERATIONS_MIN - 1))],
    ["too many iterations", good.replace("4096", String(ITERATIONS_MAX + 1))],
    ["a short salt", good.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22Z")],
    ["a long salt", good.replace("W22ZaJ0SNY7soEsUEjb6gQ==", Buffer.alloc(300).toString("base64"))],
    ["a salt that is not base64", good.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0SNY7soEsUEjb6g!==")],
    ["base64 without its padding", good.replace("6gQ==", "6gQ")],
    ["one key only", good.replace(`:${SERVER_KEY}`, "")],
    ["something behind it", `${good}$`],
  ];
  for (const [what, text] of mistakes) {
    test(`${what} is refused, and nothing of it is told`, () => {
      assert.throws(
        () => parseCredential(text),
        (error) => {
          assert.ok(error instanceof StreamError);
          assert.equal(error.code, "CONFIG_INVALID");
          for (const secret of [STORED_KEY, SERVER_KEY, "W22ZaJ0", "pencil"])
            assert.ok(!error.message.includes(secret));
          return true;
        },
      );
    });
  }

  test("no prefix of a credential is one", () => {
    for (let length = 0; length < good.length; length++) {
      assert.throws(() => parseCredential(good.slice(0, length)), StreamError);
    }
  });
});
