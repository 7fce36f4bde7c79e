import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatServerFirst, parseClientFinal, parseClientFirst } from "../../../../../hub/kafka/sasl/scram-messages.ts";

const failed = { code: "SASL_AUTHENTICATION_FAILED" };

suite("client first", () => {
  test("user, nonce and what is signed", () => {
    assert.deepEqual(parseClientFirst(Buffer.from("n,,n=user,r=fyko")), {
      user: "user",
      nonce: "fyko",
      gs2Header: "n,,",
      bare: "n=user,r=fyko",
    });
  });

  test("a client that could bind to the channel, one that names itself twice, and extensions are understood", () => {
    assert.equal(parseClientFirst(Buffer.from("y,,n=user,r=x")).gs2Header, "y,,");
    const twice = parseClientFirst(Buffer.from("n,a=a=2Cb,n=a=2Cb,r=x,tokenauth=true"));
    assert.deepEqual([twice.user, twice.gs2Header], ["a,b", "n,a=a=2Cb,"]);
    assert.equal(twice.bare, "n=a=2Cb,r=x,tokenauth=true");
  });

  test("commas and equals signs in names are decoded", () => {
    assert.equal(parseClientFirst(Buffer.from("n,,n=a=2C=3Db=3D2C,r=x")).user, "a,=b=2C");
    assert.equal(parseClientFirst(Buffer.from("n,,n=пользователь,r=x")).user, "пользователь");
  });

  for (const [what, text] of [
    ["nothing", ""],
    ["channel binding", "p=tls-unique,,n=user,r=x"],
    ["another flag", "x,,n=user,r=x"],
    ["no GS2 header", "n=user,r=x"],
    ["a mandatory extension", "n,,m=future,n=user,r=x"],
    ["another authorization identity", "n,a=admin,n=user,r=x"],
    ["no user", "n,,r=x"],
    ["an empty user", "n,,n=,r=x"],
    ["a bare equals sign in the name", "n,,n=a=b,r=x"],
    ["a small-letter escape", "n,,n=a=2cb,r=x"],
    ["no nonce", "n,,n=user"],
    ["an empty nonce", "n,,n=user,r="],
    ["a space in the nonce", "n,,n=user,r=a b"],
    ["a nonce that is not ASCII", "n,,n=user,r=ä"],
    ["a very long nonce", `n,,n=user,r=${"a".repeat(513)}`],
    ["nonce before user", "n,,r=x,n=user"],
    ["a malformed extension", "n,,n=user,r=x,y"],
  ] as const) {
    test(`${what} is refused`, () => assert.throws(() => parseClientFirst(Buffer.from(text)), failed));
  }

  test("bytes that are no UTF-8 are refused", () => {
    assert.throws(() => parseClientFirst(Buffer.from("6e2c2c6e3dc3282c723d78", "hex")), failed);
  });
});

suite("client final", () => {
  test("what it repeats, the proof, and what is signed", () => {
    assert.deepEqual(parseClientFinal(Buffer.from("c=biws,r=fyko3r,p=dmVy")), {
      channelBinding: "biws",
      nonce: "fyko3r",
      proof: Buffer.from("ver"),
      withoutProof: "c=biws,r=fyko3r",
    });
  });

  for (const [what, text] of [
    ["nothing", ""],
    ["no proof", "c=biws,r=x"],
    ["an empty proof", "c=biws,r=x,p="],
    ["a proof that is no base64", "c=biws,r=x,p=dm!y"],
    ["a proof without its padding", "c=biws,r=x,p=dmV"],
    ["something behind the proof", "c=biws,r=x,p=dmVy,x=y"],
    ["no channel binding", "r=x,p=dmVy"],
    ["another order", "r=x,c=biws,p=dmVy"],
    ["a malformed extension", "c=biws,r=x,y,p=dmVy"],
  ] as const) {
    test(`${what} is refused`, () => assert.throws(() => parseClientFinal(Buffer.from(text)), failed));
  }
});

test("no truncated message is taken for another than a shorter one of its kind", () => {
  const first = Buffer.from("n,,n=user,r=fyko");
  for (let length = 0; length < first.length - 3; length++) {
    assert.throws(() => parseClientFirst(first.subarray(0, length)), failed);
  }
  const final = Buffer.from("c=biws,r=fyko,p=dmVy");
  for (let length = 0; length < final.length; length++) {
    assert.throws(() => parseClientFinal(final.subarray(0, length)), failed);
  }
});

test("server first", () => {
  assert.equal(
    formatServerFirst({ nonce: "ab", salt: Buffer.from("salt"), iterations: 4096 }),
    "r=ab,s=c2FsdA==,i=4096",
  );
});
