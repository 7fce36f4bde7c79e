import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../../../bin/failure.ts";
import { formatHubAddress, parseHubAddress } from "../../../../bin/hub-client/address.ts";

test("HOST:PORT is read, IPv6 stands in brackets", () => {
  assert.deepEqual(parseHubAddress("127.0.0.1:9092"), { host: "127.0.0.1", port: 9092 });
  assert.deepEqual(parseHubAddress("hub.example:1"), { host: "hub.example", port: 1 });
  assert.deepEqual(parseHubAddress("[::1]:9092"), { host: "::1", port: 9092 });
  for (const text of ["127.0.0.1:9092", "[::1]:9092"]) assert.equal(formatHubAddress(parseHubAddress(text)), text);
});

test("what is not an address is refused", () => {
  for (const text of [
    "",
    "9092",
    "host:",
    "host:0",
    "host:65536",
    "host:9092/x",
    "::1:9092",
    "ws://host:9092",
    "a b:1",
  ]) {
    assert.throws(() => parseHubAddress(text), UsageError, text);
  }
});
