/** What AlterConfigs and IncrementalAlterConfigs have in common: check all, then replace the topic's overrides. */
import { StreamError } from "../../shared/errors.ts";
import type { TopicConfig } from "../engine/engine.ts";
import { checkCluster, checkTopic } from "../access/authorize.ts";
import { NO_ERROR } from "./handler.ts";
import type { RequestContext } from "./handler.ts";
import { resourceTypes } from "./resource-types.ts";
import { checkTopicConfig } from "../topics/topic-configs.ts";

type AlteredResource = { readonly resourceType: number; readonly resourceName: string };

/** @throws StreamError INVALID_REQUEST, INVALID_CONFIG, UNKNOWN_TOPIC_OR_PARTITION, TOPIC_ or CLUSTER_AUTHORIZATION_FAILED. */
export async function alterTopicConfig(
  resource: AlteredResource & { readonly validateOnly: boolean },
  context: RequestContext,
  overridesFrom: (current: TopicConfig) => ReadonlyMap<string, string>,
): Promise<void> {
  const { resourceType, resourceName, validateOnly } = resource;
  if (resourceType === resourceTypes.broker) {
    checkCluster(context, "alterConfigs");
    throw new StreamError("INVALID_CONFIG", "the broker's configuration is the hub's: set it in its file and restart");
  }
  if (resourceType !== resourceTypes.topic) {
    throw new StreamError("INVALID_REQUEST", `resource type ${resourceType} is not served`);
  }
  checkTopic(context, "alterConfigs", resourceName);
  const topic = context.engine.topics.get(resourceName);
  if (topic === undefined) throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${resourceName} does not exist`);
  const overrides = overridesFrom(topic.config);
  for (const [key, value] of overrides) checkTopicConfig(key, value);
  if (!validateOnly) await context.engine.alterTopic(resourceName, Object.fromEntries(overrides));
}

export function alteredAnswer({ resourceType, resourceName }: AlteredResource, altered: StreamError | void) {
  return altered instanceof StreamError
    ? { errorCode: altered.wire, errorMessage: altered.reason, resourceType, resourceName }
    : { errorCode: NO_ERROR, errorMessage: null, resourceType, resourceName };
}
