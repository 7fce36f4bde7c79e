/** A listener on free loopback ports over a database of the test's, and MQTT clients for it. */
import path from "node:path";
import { connectAsync } from "mqtt";
import type { IClientOptions, MqttClient } from "mqtt";
import { mqttLimitDefaults } from "../../agent/mqtt/limits.ts";
import type { MqttLimits } from "../../agent/mqtt/limits.ts";
import { MqttListener } from "../../agent/mqtt/listener.ts";
import type { MqttListenerOptions } from "../../agent/mqtt/listener.ts";
import { sessionExtension } from "../../agent/mqtt/session-tables.ts";
import { systemClock } from "../../shared/clock.ts";
import { silentLogger } from "../../shared/logger.ts";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";
import { DirectExtensionLog } from "./direct-extension-log.ts";
import { FakeIngest } from "./fake-ingest.ts";

export type StartOptions = Partial<Omit<MqttListenerOptions, "limits">> & {
  readonly directory: string;
  readonly ingest?: FakeIngest;
  readonly limits?: Partial<MqttLimits>;
};

export async function startMqtt(t: After, { directory, limits, ingest = new FakeIngest(), ...options }: StartOptions) {
  const log = new DirectExtensionLog(path.join(directory, "mqtt.db"), [sessionExtension]);
  const listener = new MqttListener({
    tcp: { host: "127.0.0.1", port: 0 },
    webSocket: { host: "127.0.0.1", port: 0 },
    log,
    sink: ingest,
    incoming: ingest,
    logger: silentLogger(),
    clock: systemClock,
    ...options,
    limits: { ...mqttLimitDefaults, ...limits },
  });
  const bound = await listener.start();
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    await listener.close();
    await log.close();
  };
  onCleanUp(t, close);
  const tcpUrl = `mqtt://127.0.0.1:${bound.mqtt.port}`;
  const webSocketUrl = bound.webSocket === undefined ? "" : `ws://127.0.0.1:${bound.webSocket.port}/mqtt`;
  return { listener, log, ingest, bound, tcpUrl, webSocketUrl, close };
}

export async function connectMqtt(t: After, url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync(url, { reconnectPeriod: 0, ...options });
  client.on("error", () => undefined);
  onCleanUp(t, () => client.endAsync(true));
  return client;
}

/** Collects what `client` receives; `until` waits for a number of messages. */
export function inbox(client: MqttClient) {
  const messages: { topic: string; text: string; qos: number; retain: boolean; dup: boolean }[] = [];
  let arrived = Promise.withResolvers<void>();
  client.on("message", (topic, payload, packet) => {
    messages.push({ topic, text: payload.toString(), qos: packet.qos, retain: packet.retain, dup: packet.dup });
    arrived.resolve();
  });
  const until = async (count: number): Promise<typeof messages> => {
    while (messages.length < count) {
      arrived = Promise.withResolvers<void>();
      await arrived.promise;
    }
    return messages;
  };
  return { messages, until, texts: () => messages.map((message) => message.text) };
}
