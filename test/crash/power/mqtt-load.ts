/** MQTT publishers that note what they send and, when the answer is there, what was acknowledged. */
import { hash } from "node:crypto";
import type { TestContext } from "node:test";
import type { IPublishPacket } from "mqtt-packet";
import { connectRaw } from "../../support/raw-mqtt.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { OFFLINE_CLIENT } from "./left-sessions.ts";
import type { Note } from "./witness.ts";

const WINDOW = 5;
const REMOVED_EVERY = 4;

export type MqttLoad = {
  readonly port: number;
  readonly note: (each: Note) => void;
  readonly client: string;
  readonly qos: 1 | 2;
  /** MQTT topics of the client begin with it. */
  readonly prefix: string;
  /** Of the log. */
  readonly topic: string;
  readonly messages: number;
  /** Of payloads that no codec makes much smaller; otherwise they are short, and of one letter. */
  readonly noiseBytes?: number;
  /**
   * Goes on with new messages when the agent has closed the connection, as it does with those for which a full log has no room at
   * the moment. What was not answered is not sent again: it may be stored or not.
   */
  readonly givesUp?: boolean;
};

/** Message n has the packet identifier n + 1: a cut is judged by who was answered what. */
export function publishPacket(load: MqttLoad, n: number, dup = false): IPublishPacket {
  const { client, qos, prefix, noiseBytes } = load;
  const key = `${client}/${n}`;
  const payload = `${key} ${noiseBytes === undefined ? "x".repeat(n % 200) : noise(key, noiseBytes)}`;
  return { cmd: "publish", topic: `${prefix}/${client}/v`, payload, qos, retain: false, dup, messageId: n + 1 };
}

/** The same for a message that is sent again. */
function noise(key: string, bytes: number): string {
  let text = "";
  for (let part = 0; text.length < bytes; part++) text += hash("sha512", `${key} ${part}`, "base64");
  return text.slice(0, bytes);
}

export function connectLoad(t: TestContext, load: MqttLoad): Promise<RawMqtt> {
  return connectRaw(t, load.port, load.client, { clean: false });
}

/** Has the session that is offline from then on queue what comes for these filters. */
export async function leaveOffline(
  t: TestContext,
  { port, note, filters }: Pick<MqttLoad, "port" | "note"> & { readonly filters: readonly string[] },
): Promise<void> {
  const mqtt = await connectRaw(t, port, OFFLINE_CLIENT, { clean: false });
  mqtt.send({ cmd: "subscribe", messageId: 1, subscriptions: filters.map((topic) => ({ topic, qos: 2 })) });
  // What was queued in an earlier life comes, and is left unanswered.
  for (let answer = await mqtt.next(); answer?.cmd !== "suback"; answer = await mqtt.next()) {
    if (answer === undefined) throw new Error(`${OFFLINE_CLIENT}: the agent closed the connection`);
  }
  for (const filter of filters) note({ type: "subscribed", filter });
  mqtt.send({ cmd: "disconnect" });
  await mqtt.closed;
}

export type RetainedLoad = Pick<MqttLoad, "port" | "note" | "client" | "messages"> & { readonly mqttTopic: string };

/** Retains one value after another under a topic of no route, and none at times; QoS 2, each after the answer to the last. */
export async function retainLoad(t: TestContext, load: RetainedLoad): Promise<void> {
  const { port, note, client, messages, mqttTopic: topic } = load;
  const mqtt = await connectRaw(t, port, client, { clean: false });
  const hear = async (cmd: string): Promise<void> => {
    const answer = await mqtt.next();
    if (answer?.cmd !== cmd) throw new Error(`${client}: ${cmd} was to come, not ${JSON.stringify(answer)}`);
  };
  for (let number = 0; number < messages; number++) {
    const messageId = number + 1;
    const payload = number % REMOVED_EVERY === REMOVED_EVERY - 1 ? "" : `${client}/${number}`;
    note({ type: "retaining", topic, number, payload });
    mqtt.send({ cmd: "publish", topic, payload, qos: 2, retain: true, dup: false, messageId });
    await hear("pubrec");
    note({ type: "retained", topic, number });
    mqtt.send({ cmd: "pubrel", messageId });
    await hear("pubcomp");
  }
  mqtt.socket.destroy();
}

/** Sends all, a few at a time, and sees them through. */
export async function publishLoad(t: TestContext, load: MqttLoad): Promise<void> {
  const { client, qos, topic, messages, note } = load;
  let mqtt = await connectLoad(t, load);
  let [sent, done] = [0, 0];
  while (done < messages) {
    while (sent < messages && sent - done < WINDOW) {
      note({ type: "sending", topic, keys: [`${client}/${sent}`] });
      mqtt.send(publishPacket(load, sent++));
    }
    const answer = await mqtt.next();
    if (answer === undefined) {
      if (load.givesUp !== true) throw new Error(`${client}: the agent closed the connection`);
      mqtt = await connectLoad(t, load);
      done = sent;
      continue;
    }
    const { cmd, messageId = 0 } = answer;
    if (cmd === "puback" || cmd === "pubrec") {
      note({ type: "acked", topic, keys: [`${client}/${messageId - 1}`], isQueued: qos === 2 });
    }
    if (cmd === "pubrec") mqtt.send({ cmd: "pubrel", messageId });
    if (cmd === (qos === 1 ? "puback" : "pubcomp")) done++;
  }
  mqtt.socket.destroy();
}
