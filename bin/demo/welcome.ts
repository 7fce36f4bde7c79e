/** What the demo says once it runs: what is where, and what to try; pure. */
import type { Environment, Paint } from "../context.ts";

export type Welcome = {
  readonly addresses: Readonly<Record<string, string | undefined>>;
  /** Data directory as it was given. */
  readonly data: string;
  readonly env: Environment;
  readonly paint: Paint;
};

const DEFAULT_KAFKA = "127.0.0.1:9092";

export function renderWelcome({ addresses, data, env, paint }: Welcome): string {
  const { http = "", kafka = "", mqtt = "", admin = "" } = addresses;
  const [mqttHost, mqttPort] = splitAddress(mqtt);
  // Started by npm, the command is not on the path.
  const tributary = env["npm_execpath"] === undefined ? "tributary" : "npx tributary";
  const kafkaFlag = kafka === DEFAULT_KAFKA ? "" : ` --kafka ${kafka}`;
  const places: [string, string][] = [
    ["sensors", "20, publishing over MQTT to the agent"],
    ["agent", `mqtt://${mqtt}, status at http://${admin}/status`],
    ["hub", `Kafka clients at ${kafka}, http://${http}`],
    ["data", `${data}/agent, ${data}/hub`],
  ];
  const tries: [string, string][] = [
    [`${tributary} consume climate --from latest${kafkaFlag}`, "follow a topic"],
    [`${tributary} consume machines --group me${kafkaFlag}`, "as a group; start it twice and they share"],
    [`${tributary} topics list${kafkaFlag}`, "what the hub keeps"],
    [`${tributary} groups describe demo${kafkaFlag}`, "offsets and lag of the group below"],
    [`kcat -b ${kafka} -C -t climate -o -5 -e`, "any Kafka client reads it"],
    [`mosquitto_pub -h ${mqttHost} -p ${mqttPort} -q 1 -t sensors/desk/lamp/temperature -m '{"value": 21.5}'`, ""],
    [`${tributary} log inspect ${data}/agent`, "what is on the agent's disk"],
  ];
  const width = Math.max(...tries.filter(([, why]) => why !== "").map(([text]) => text.length));
  return [
    paint.strong("Tributary demo"),
    "",
    ...places.map(([name, text]) => `  ${name.padEnd(9)}${text}`),
    "",
    paint.strong("Try, in another terminal:"),
    "",
    ...tries.map(([text, why]) => (why === "" ? `  ${text}` : `  ${text.padEnd(width)}  ${paint.faint(why)}`)),
    "",
    "Ctrl-C ends it. What the sensors send, what the hub stores and what the group `demo` reads:",
  ].join("\n");
}

function splitAddress(address: string): [string, string] {
  const at = address.lastIndexOf(":");
  return [address.slice(0, at), address.slice(at + 1)];
}
