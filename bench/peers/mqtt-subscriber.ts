/**
 * An MQTT subscriber with a durable session at QoS 1, as lean as the publishers of the load: mosquitto_sub writes each
 * message by itself, and would be the limit of what it measures.
 */
import { once } from "node:events";
import { connect } from "node:net";
import mqttPacket from "mqtt-packet";
import { onCleanUp } from "../../test/support/clean-up.ts";
import type { After } from "../../test/support/clean-up.ts";
import { decodePayload, nowUs } from "../../test/support/payload.ts";
import { Latencies } from "../measure/latencies.ts";
import { PublishReader } from "./publish-reader.ts";
import type { Reader, ReaderOptions } from "./pipeline.ts";

const PUBACK = 0x40;
const KEEP_ALIVE_SECONDS = 300;
const SUBSCRIBE_ID = 1;

export async function openMqttReader(
  t: After,
  { port, filter, isTimed }: Pick<ReaderOptions, "isTimed"> & { readonly port: number; readonly filter: string },
): Promise<Reader> {
  const latencies = new Latencies();
  let count = 0;
  const subscribed = Promise.withResolvers<void>();
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  onCleanUp(t, () => socket.destroy());
  socket.on("error", (error) => subscribed.reject(error));
  await once(socket, "connect");
  const identity = { clientId: "reader", clean: false, keepalive: KEEP_ALIVE_SECONDS };
  const reader = new PublishReader({
    onPublish: (payload) => {
      count++;
      if (isTimed) latencies.add(nowUs() - decodePayload(payload.toString("latin1")).sentAtUs);
    },
    onSubscribed: () => subscribed.resolve(),
  });
  socket.on("data", (chunk: Buffer) => {
    const packetIds = reader.read(chunk);
    if (packetIds.length === 0) return;
    const answers = Buffer.allocUnsafe(packetIds.length * 4);
    for (const [index, packetId] of packetIds.entries()) {
      answers.writeUInt16BE((PUBACK << 8) | 2, index * 4);
      answers.writeUInt16BE(packetId, index * 4 + 2);
    }
    socket.write(answers);
  });
  socket.write(mqttPacket.generate({ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, ...identity }));
  const subscriptions = [{ topic: filter, qos: 1 as const }];
  socket.write(mqttPacket.generate({ cmd: "subscribe", messageId: SUBSCRIBE_ID, subscriptions }));
  await subscribed.promise;
  return {
    count: () => count,
    heldBackMax: 0,
    latencies,
    close: async () => {
      const closed = once(socket, "close");
      socket.end(mqttPacket.generate({ cmd: "disconnect" }));
      await closed;
    },
  };
}
