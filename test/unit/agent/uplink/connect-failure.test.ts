import assert from "node:assert/strict";
import test from "node:test";
import { describeConnectError, describeHttpAnswer, isUnheard } from "../../../../agent/uplink/connect-failure.ts";
import { UPLINK_SUBPROTOCOL } from "../../../../shared/uplink/frames.ts";

const rows: { readonly code: string; readonly becomes: string; readonly says: RegExp }[] = [
  { code: "ENOTFOUND", becomes: "HUB_UNREACHABLE", says: /name is not known/ },
  { code: "EAI_AGAIN", becomes: "HUB_UNREACHABLE", says: /name server/ },
  { code: "ECONNREFUSED", becomes: "HUB_UNREACHABLE", says: /nothing listens/ },
  { code: "CERT_NOT_YET_VALID", becomes: "HUB_NOT_TRUSTED", says: /not valid yet/ },
  { code: "ERR_TLS_CERT_ALTNAME_INVALID", becomes: "HUB_NOT_TRUSTED", says: /another name/ },
  { code: "EPROTO", becomes: "HUB_UNREACHABLE", says: /TLS/ },
];

for (const { code, becomes, says } of rows) {
  test(`connect failure: ${code} is told in words, with its cause`, () => {
    const cause = Object.assign(new Error("from the system"), { code });
    const error = describeConnectError(cause, "connection");
    assert.equal(error.code, becomes);
    assert.match(error.message, says);
    assert.equal(error.cause, cause);
  });
}

test("connect failure: a certificate out of its time points at the clock", () => {
  const error = describeConnectError(Object.assign(new Error(""), { code: "CERT_HAS_EXPIRED" }), "tls");
  assert.match(error.hint, /clock/);
});

test("connect failure: a reset in the greeting may be the wrong scheme, later it is the network", () => {
  const reset = Object.assign(new Error(""), { code: "ECONNRESET" });
  const hints = (["tls", "upgrade", "connection", "welcome"] as const).map(
    (stage) => describeConnectError(reset, stage).hint,
  );
  assert.deepEqual(
    hints.map((hint) => hint.includes("wss://")),
    [true, true, false, false],
  );
});

test("connect failure: HTTP answers tell a wrong token, a busy hub, another version, and something else", () => {
  const codes = [401, 403, 429, 503, 426, 200, 302, 404].map((status) => describeHttpAnswer(status).code);
  assert.deepEqual(codes, [
    "UNAUTHORIZED",
    "UNAUTHORIZED",
    "OVERLOADED",
    "OVERLOADED",
    "UPLINK_VERSION",
    "HUB_UNREACHABLE",
    "HUB_UNREACHABLE",
    "HUB_UNREACHABLE",
  ]);
});

test("connect failure: another version is named; a proxy that hides ours is no version", () => {
  assert.match(describeHttpAnswer(426, "tributary.v1").message, /hub speaks "tributary\.v1", this agent tributary\.v3/);
  assert.match(describeHttpAnswer(426, "x".repeat(5000)).message, /^.{0,200}$/);
  assert.match(describeHttpAnswer(426, UPLINK_SUBPROTOCOL).hint, /proxy/);
});

test("connect failure: what did not reach the hub is told from what did", () => {
  const isUnheardAt = (code: string) =>
    isUnheard(describeConnectError(Object.assign(new Error(""), { code }), "upgrade"));
  const unheard = ["ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EAI_AGAIN"];
  const heard = ["ECONNRESET", "EPIPE", "ETIMEDOUT", "ENOTFOUND", "EPROTO", "CERT_HAS_EXPIRED"];
  assert.deepEqual(unheard.filter(isUnheardAt), unheard);
  assert.deepEqual(heard.filter(isUnheardAt), []);
  for (const status of [401, 429, 503, 426, 500]) assert.equal(isUnheard(describeHttpAnswer(status)), false);
});
