/** An MQTT connection whose packets the test writes and reads itself. */
import { connect } from "node:net";
import type { Socket } from "node:net";
import mqttPacket from "mqtt-packet";
import type { IConnectPacket, Packet } from "mqtt-packet";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

export type RawMqtt = {
  readonly socket: Socket;
  send(packet: Packet): void;
  /** The next packet from the peer; undefined when it has closed the connection. */
  next(): Promise<Packet | undefined>;
  readonly closed: Promise<void>;
};

export async function openRaw(t: After, port: number, localAddress?: string): Promise<RawMqtt> {
  const socket = connect({ port, host: "127.0.0.1", ...(localAddress === undefined ? {} : { localAddress }) });
  onCleanUp(t, () => socket.destroy());
  const parser = mqttPacket.parser();
  const received: Packet[] = [];
  let isClosed = false;
  let changed = Promise.withResolvers<void>();
  const notify = (): void => {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  };
  parser.on("packet", (packet) => {
    received.push(packet);
    notify();
  });
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => {
      isClosed = true;
      notify();
      resolve();
    });
  });
  socket.on("data", (chunk) => parser.parse(chunk));
  // A reset is an end like any other here.
  socket.on("error", () => undefined);
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  const next = async (): Promise<Packet | undefined> => {
    while (received.length === 0 && !isClosed) await changed.promise;
    return received.shift();
  };
  return { socket, send: (packet) => socket.write(mqttPacket.generate(packet)), next, closed };
}

export function connectPacket(clientId: string, options: Partial<IConnectPacket> = {}): IConnectPacket {
  return { cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 60, clientId, ...options };
}

/** Connects and has the CONNACK. */
export async function connectRaw(
  t: After,
  port: number,
  clientId: string,
  options: Partial<IConnectPacket> = {},
): Promise<RawMqtt> {
  const raw = await openRaw(t, port);
  raw.send(connectPacket(clientId, options));
  const packet = await raw.next();
  if (packet?.cmd !== "connack" || packet.returnCode !== 0) {
    throw new Error(`not connected: ${JSON.stringify(packet)}`);
  }
  return raw;
}
