import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  formatListenAddress,
  isLoopbackHost,
  parseListenAddress,
  protectionProblem,
  requireProtection,
} from "../../../../shared/config/listen-address.ts";

suite("listen address", () => {
  test("HOST:PORT is read and written back as it was", () => {
    for (const text of ["127.0.0.1:1883", "[::1]:0", "hub.example:65535", "0.0.0.0:9092"]) {
      const address = parseListenAddress(text);
      assert.ok(address !== undefined, text);
      assert.equal(formatListenAddress(address), text);
    }
    assert.deepEqual(parseListenAddress("[fe80::1]:7070"), { host: "fe80::1", port: 7070 });
  });

  test("what is no HOST:PORT is refused", () => {
    for (const text of ["", "1883", ":1883", "::1:1883", "localhost", "a:70000", "a:-1", "a b:1", "[x]:1", "a:1:2"]) {
      assert.equal(parseListenAddress(text), undefined, text);
    }
  });

  test("loopback is what the machine alone can reach, and no name that only looks like it", () => {
    for (const host of ["127.0.0.1", "127.8.8.8", "::1", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1", "localhost"]) {
      assert.equal(isLoopbackHost(host), true, host);
    }
    for (const host of [
      "0.0.0.0",
      "::",
      "10.0.0.1",
      "127.example.org",
      "localhost.example.org",
      "::ffff:10.0.0.1",
      "",
    ]) {
      assert.equal(isLoopbackHost(host), false, host);
    }
  });

  test("a listener that others can reach needs authentication or the operator's word", () => {
    const open = { host: "0.0.0.0", port: 1883 };
    const rows = [
      { address: open, isAuthenticated: false, insecure: false, isAllowed: false },
      { address: open, isAuthenticated: true, insecure: false, isAllowed: true },
      { address: open, isAuthenticated: false, insecure: true, isAllowed: true },
      { address: { host: "::1", port: 0 }, isAuthenticated: false, insecure: false, isAllowed: true },
    ];
    for (const { isAllowed, ...protection } of rows) {
      assert.equal(protectionProblem(protection) === undefined, isAllowed, JSON.stringify(protection));
    }
    const protection = { key: "mqtt.listen", address: open, isAuthenticated: false, insecure: false };
    assert.throws(() => requireProtection(protection), { code: "LISTENER_NOT_PROTECTED", message: /mqtt\.listen/ });
  });
});
