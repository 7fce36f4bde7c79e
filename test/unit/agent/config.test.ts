import assert from "node:assert/strict";
import { hostname } from "node:os";
import { suite, test } from "node:test";
import { agentFlags } from "../../../agent/config-flags.ts";
import { loadAgentConfig } from "../../../agent/config.ts";
import { mqttLimitDefaults } from "../../../agent/mqtt/limits.ts";

const nothing = { flags: {}, env: {} };

suite("agent config", () => {
  test("without a configuration every listener is on loopback, with the documented ports", () => {
    const { config } = loadAgentConfig(nothing);
    assert.deepEqual(config.mqtt.listen, { host: "127.0.0.1", port: 1883 });
    assert.deepEqual(config.admin.listen, { host: "127.0.0.1", port: 7071 });
    assert.equal(config.mqtt.webSocketListen, undefined);
    assert.equal(config.agent.name, hostname());
    assert.deepEqual(config.mqtt.limits, mqttLimitDefaults);
  });

  test("every flag sets its key", () => {
    const flags = { name: "hall-a", data: "/d", mqtt: "127.0.0.1:0", admin: "[::1]:0", hub: "ws://hub.example:7070" };
    const { config } = loadAgentConfig({
      env: {},
      flags: { ...flags, "mqtt-websocket": "localhost:0", "log-level": "warn" },
    });
    assert.deepEqual(
      [config.agent.name, config.data.dir, config.mqtt.listen.port, config.admin.listen.host, config.uplink.hub],
      ["hall-a", "/d", 0, "::1", "ws://hub.example:7070"],
    );
    assert.deepEqual([config.mqtt.webSocketListen?.host, config.logLevel], ["localhost", "warn"]);
    assert.equal(Object.keys(agentFlags).length, Object.keys(flags).length + 3);
  });

  test("each listener that others can reach is refused unless it is declared insecure", () => {
    const open = { mqtt: "0.0.0.0:1883", "mqtt-websocket": "[::]:8083", admin: "10.0.0.1:7071" };
    for (const [flag, address] of Object.entries(open)) {
      const load = () => loadAgentConfig({ flags: { [flag]: address }, env: {} });
      assert.throws(load, { code: "LISTENER_NOT_PROTECTED", message: new RegExp(`--${flag}: .*not protected`) });
    }
    const env = { TRIBUTARY_MQTT_INSECURE: "true", TRIBUTARY_ADMIN_INSECURE: "true" };
    assert.equal(loadAgentConfig({ flags: open, env }).config.mqtt.insecure, true);
  });

  test("mistakes of all routes are found, not only of the first", () => {
    const routes = [
      { match: "a/{b", topic: "x" },
      { match: "a/{b}", topic: "x y", acks: "some" },
      { match: "a/{b}", topic: "x", headers: { "mqtt.topic": "no" } },
    ];
    const load = () => loadAgentConfig({ flags: {}, env: { TRIBUTARY_ROUTES: JSON.stringify(routes) } });
    assert.throws(load, (error: Error) => {
      for (const part of ["routes[0].match", 'routes[1].acks found "some"', "routes[2].headers.mqtt.topic"]) {
        assert.ok(error.message.includes(part), `${part} in ${error.message}`);
      }
      return true;
    });
  });

  test("routes that contradict each other are refused together", () => {
    const routes = JSON.stringify([
      { match: "a", topic: "x", acks: "all" },
      { match: "b", topic: "x", acks: "none" },
    ]);
    const load = () => loadAgentConfig({ flags: {}, env: { TRIBUTARY_ROUTES: routes } });
    assert.throws(load, { code: "CONFIG_INVALID", message: /routes\[1\] and routes\[0\] both go to "x"/ });
  });

  test("the retry times must be in order, and a bridge's password needs a user name", () => {
    const env = { TRIBUTARY_UPLINK_RETRY_MIN_MS: "5000", TRIBUTARY_UPLINK_RETRY_MAX_MS: "1000" };
    assert.throws(() => loadAgentConfig({ flags: {}, env }), {
      message: /uplink\.retryMaxMs found 1000, which is below/,
    });
    const password = { TRIBUTARY_BRIDGE_PASSWORD: "hush" };
    assert.throws(() => loadAgentConfig({ flags: {}, env: password }), { message: /bridge\.username is not/ });
  });

  test("authorities are of no use without TLS", () => {
    const load = (hub: string) => {
      const env = { TRIBUTARY_UPLINK_CA_FILE: "/etc/ca.pem", TRIBUTARY_UPLINK_HUB: hub };
      return loadAgentConfig({ flags: {}, env }).config.uplink.caFile;
    };
    assert.equal(load("wss://hub.example"), "/etc/ca.pem");
    assert.throws(() => load("ws://hub.example"), { code: "CONFIG_INVALID", message: /uplink\.caFile is of no use/ });
  });

  test("a small buffer is allowed: one megabyte", () => {
    const load = (bytes: string) => loadAgentConfig({ flags: {}, env: { TRIBUTARY_LOG_BYTES_MAX: bytes } });
    assert.equal(load("1000000").config.log.bytesMax, 1_000_000);
    assert.throws(() => load("999999"), { code: "CONFIG_INVALID" });
  });
});
