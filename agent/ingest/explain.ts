/** What `tributary route test TOPIC` prints: where a message of an MQTT topic would go, and why. */
import { partitionForKey } from "../../shared/batch/partitioner.ts";
import type { Durability } from "../../shared/record.ts";
import type { Route, TopicPolicy } from "./route.ts";
import { policyOf, resolveRoute } from "./route.ts";

export type Explanation = TopicPolicy & {
  readonly mqttTopic: string;
  /** Index in the configuration's `routes`; null when none of them takes the message. */
  readonly route: number | null;
  readonly match: string | null;
  readonly captures: Readonly<Record<string, string>>;
  readonly topic: string;
  /** Null: without a key, partitions take turns. */
  readonly key: string | null;
  /** With the partition count of the route; the hub's count goes before it where the topic exists. */
  readonly partition: number | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly durability: Durability;
};

export function explain(routes: readonly Route[], mqttTopic: string): Explanation {
  const { route, captures, topic, key, headers } = resolveRoute(routes, mqttTopic);
  const policy = policyOf(routes, topic);
  const index = routes.indexOf(route);
  return {
    mqttTopic,
    route: index === -1 ? null : index,
    match: route.filter?.source ?? null,
    captures: Object.fromEntries(captures),
    topic,
    key: key ?? null,
    partition: key === undefined ? null : partitionForKey(Buffer.from(key, "utf8"), policy.partitions),
    headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])),
    durability: route.durability,
    ...policy,
  };
}
