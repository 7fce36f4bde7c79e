import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { hubFlags, loadHubConfig } from "../../../hub/config.ts";

const nothing = { flags: {}, env: {} };

suite("hub config", () => {
  test("without a configuration every listener is on loopback, with the documented ports", () => {
    const { config } = loadHubConfig(nothing);
    assert.deepEqual(config.http.listen, { host: "127.0.0.1", port: 7070 });
    assert.deepEqual(config.kafka.listen, { host: "127.0.0.1", port: 9092 });
    assert.equal(config.topics.partitions, 4);
    assert.equal(config.topics.retentionMs, 7 * 24 * 60 * 60 * 1000);
    assert.equal(config.topics.retentionBytes, undefined);
    assert.equal(config.uplink.token, undefined);
  });

  test("every flag sets its key", () => {
    const flags = { data: "/d", http: "127.0.0.1:0", kafka: "localhost:0", advertise: "hub.example:9092" };
    const { config } = loadHubConfig({ env: {}, flags: { ...flags, "log-level": "debug" } });
    assert.deepEqual([config.data.dir, config.http.listen.port, config.kafka.listen.host], ["/d", 0, "localhost"]);
    assert.deepEqual(config.kafka.advertised, { host: "hub.example", port: 9092 });
    assert.equal(config.logLevel, "debug");
    assert.equal(Object.keys(hubFlags).length, Object.keys(flags).length + 2);
  });

  test("a token on the uplink does not protect the other pages, and the message says so", () => {
    const env = { TRIBUTARY_UPLINK_TOKEN: "a-long-enough-token" };
    const load = () => loadHubConfig({ flags: { http: "0.0.0.0:7070" }, env });
    assert.throws(load, { code: "LISTENER_NOT_PROTECTED", message: /uplink\.token protects the uplink only/ });
    const open = { ...env, TRIBUTARY_HTTP_INSECURE: "true" };
    assert.equal(loadHubConfig({ flags: { http: "0.0.0.0:7070" }, env: open }).config.http.listen.host, "0.0.0.0");
  });

  test("the Kafka listener is refused on an address that others can reach", () => {
    const load = () => loadHubConfig({ flags: { kafka: "0.0.0.0:9092" }, env: {} });
    assert.throws(load, { code: "LISTENER_NOT_PROTECTED", message: /--kafka: kafka\.listen is not protected/ });
  });

  test("-1 stands for no limit, and what is neither a limit nor -1 is refused", () => {
    const load = (value: string) => loadHubConfig({ flags: {}, env: { TRIBUTARY_TOPICS_RETENTION_MS: value } });
    assert.equal(load("-1").config.topics.retentionMs, undefined);
    assert.equal(load("60000").config.topics.retentionMs, 60_000);
    assert.throws(() => load("-2"), { message: /found -2, allowed is a whole number, 1 or more, or -1 for no limit/ });
  });

  test("the bounds of session timeouts must be in order", () => {
    const env = { TRIBUTARY_GROUPS_SESSION_TIMEOUT_MIN_MS: "9000", TRIBUTARY_GROUPS_SESSION_TIMEOUT_MAX_MS: "8000" };
    assert.throws(() => loadHubConfig({ flags: {}, env }), {
      message: /sessionTimeoutMaxMs found 8000, which is below/,
    });
  });
});
