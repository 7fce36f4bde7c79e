/** MQTT publishers that note in the journal what they send and, when the answer is there, what was acknowledged. */
import type { TestContext } from "node:test";
import type { IPublishPacket } from "mqtt-packet";
import { connectRaw } from "../../support/raw-mqtt.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { appendNote } from "./journal.ts";
import type { Note } from "./witness.ts";

const WINDOW = 5;

export type MqttLoad = {
  readonly port: number;
  readonly journal: string;
  readonly client: string;
  readonly qos: 1 | 2;
  /** MQTT topics of the client begin with it. */
  readonly prefix: string;
  /** Of the log. */
  readonly topic: string;
  readonly messages: number;
};

/** Message n has the packet identifier n + 1: a cut is judged by who was answered what. */
export function publishPacket({ client, qos, prefix }: MqttLoad, n: number, dup = false): IPublishPacket {
  const payload = `${client}/${n} ${"x".repeat(n % 200)}`;
  return { cmd: "publish", topic: `${prefix}/${client}/v`, payload, qos, retain: false, dup, messageId: n + 1 };
}

export function connectLoad(t: TestContext, load: MqttLoad): Promise<RawMqtt> {
  return connectRaw(t, load.port, load.client, { clean: false });
}

/** Sends all, a few at a time, and sees them through. */
export async function publishLoad(t: TestContext, load: MqttLoad): Promise<void> {
  const { client, qos, topic, messages, journal } = load;
  const mqtt = await connectLoad(t, load);
  const note = (each: Note): void => appendNote(journal, each);
  let [sent, done] = [0, 0];
  while (done < messages) {
    while (sent < messages && sent - done < WINDOW) {
      note({ type: "sending", topic, keys: [`${client}/${sent}`] });
      mqtt.send(publishPacket(load, sent++));
    }
    const answer = await mqtt.next();
    if (answer === undefined) throw new Error(`${client}: the agent closed the connection`);
    const { cmd, messageId = 0 } = answer;
    if (cmd === "puback" || cmd === "pubrec") note({ type: "acked", topic, keys: [`${client}/${messageId - 1}`] });
    if (cmd === "pubrec") mqtt.send({ cmd: "pubrel", messageId });
    if (cmd === (qos === 1 ? "puback" : "pubcomp")) done++;
  }
  mqtt.socket.destroy();
}
