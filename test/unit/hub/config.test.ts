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

  const credential = `SCRAM-SHA-256$4096:${"A".repeat(22)}==$${"A".repeat(43)}=:${"A".repeat(43)}=`;
  const users = JSON.stringify([{ name: "alice", credentials: [credential] }]);

  test("users protect the Kafka listener, and so does the operator's word", () => {
    const flags = { kafka: "0.0.0.0:9092" };
    assert.equal(loadHubConfig({ flags, env: { TRIBUTARY_USERS: users } }).config.users.length, 1);
    loadHubConfig({ flags, env: { TRIBUTARY_KAFKA_INSECURE: "true" } });
  });

  test("an unprotected listener is told beside mistakes in other sections", () => {
    const load = () => loadHubConfig({ flags: { kafka: "0.0.0.0:9092" }, env: { TRIBUTARY_LOG_LEVEL: "loud" } });
    assert.throws(load, { message: /2 mistakes[^]*kafka\.listen is not protected/ });
  });

  test("what is wrong with a user is told with its place and without its secrets", () => {
    const broken = users.replace("$4096", "$4095").replace("alice", "al ice");
    const check = (error: Error): boolean => {
      assert.match(error.message, /users\[0\]\.name found "al ice", allowed is 1 to 249 letters/);
      assert.match(error.message, /users\[0\]\.credentials\[0\] the credential cannot be used: it has 4095 iterations/);
      assert.ok(!error.message.includes("AAA"));
      return true;
    };
    assert.throws(() => loadHubConfig({ flags: {}, env: { TRIBUTARY_USERS: broken } }), check);
    for (const misplaced of [
      credential,
      JSON.stringify([credential]),
      JSON.stringify([{ name: "a", credentials: credential }]),
    ]) {
      const load = () => loadHubConfig({ flags: {}, env: { TRIBUTARY_USERS: misplaced } });
      assert.throws(load, (error: Error) => !error.message.includes("AAA"), misplaced);
    }
  });

  test("credentials are never shown, and who the commands log in as is no setting of the hub", () => {
    const env = { TRIBUTARY_USERS: users, TRIBUTARY_USER: "alice", TRIBUTARY_PASSWORD: "pencil" };
    const { explained, unusedVariables } = loadHubConfig({ flags: {}, env });
    assert.deepEqual(unusedVariables, []);
    assert.ok(!JSON.stringify(explained).includes("AAA"));
    assert.equal(explained.find(({ path }) => path === "users[0].credentials")?.value, "***");
  });

  test("TLS needs both of its files", () => {
    const env = { TRIBUTARY_KAFKA_TLS_CERT_FILE: "hub.crt" };
    assert.throws(() => loadHubConfig({ flags: {}, env }), { message: /kafka\.tls\.keyFile is missing/ });
    const both = { ...env, TRIBUTARY_KAFKA_TLS_KEY_FILE: "hub.key" };
    assert.deepEqual(loadHubConfig({ flags: {}, env: both }).config.kafka.tls, {
      certFile: "hub.crt",
      keyFile: "hub.key",
    });
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

  test("members must be told to report before their session ends", () => {
    const env = { TRIBUTARY_GROUPS_CONSUMER_SESSION_TIMEOUT_MS: "5000" };
    assert.throws(() => loadHubConfig({ flags: {}, env }), {
      message: /consumerHeartbeatIntervalMs found 5000, which is not below/,
    });
  });
});
