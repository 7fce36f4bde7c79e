/** Which records somebody wants to see: by their key, and by the MQTT topic that they came from. Pure. */
import { StreamError } from "../../../shared/errors.ts";
import { matchTopic, parseTopicFilter } from "../../../shared/topic-filter.ts";
import type { RecordFilter } from "./record-reader.ts";

/** The header in which agents keep it (docs/configuration.md, `routes`). */
const MQTT_TOPIC_HEADER = "mqtt.topic";

/** Undefined when everything is wanted. @throws StreamError INVALID_REQUEST. */
export function recordFilter(wanted: { readonly key?: string; readonly mqttTopic?: string }): RecordFilter | undefined {
  const { key, mqttTopic } = wanted;
  if (key === undefined && mqttTopic === undefined) return undefined;
  const keyBytes = key === undefined ? undefined : Buffer.from(key, "utf8");
  const filter = mqttTopic === undefined ? undefined : parseTopicFilter(mqttTopic);
  if (filter !== undefined && "problems" in filter) {
    throw new StreamError("INVALID_REQUEST", `mqttTopic is no MQTT topic filter: ${filter.problems.join("; ")}`);
  }
  return (record) => {
    if (keyBytes !== undefined && (record.key === null || !keyBytes.equals(record.key))) return false;
    if (filter === undefined) return true;
    const origin = record.headers.find((header) => header.key === MQTT_TOPIC_HEADER)?.value ?? null;
    return origin !== null && matchTopic(filter, origin.toString("utf8")) !== undefined;
  };
}
