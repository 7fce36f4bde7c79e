/** IncrementalAlterConfigs (KIP-339): sets, deletes, or changes lists in single keys and leaves the others. */
import { StreamError } from "../../../shared/errors.ts";
import { alterTopicConfig, alteredAnswer } from "../alter-topic-config.ts";
import { distinct, handler, inTurn, settle } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import type { RequestOf } from "../schema.ts";
import { incrementalAlterConfigsApi } from "../schemas/topics.ts";
import { listOf, topicConfigs } from "../../topics/topic-configs.ts";

type Change = RequestOf<typeof incrementalAlterConfigsApi>["resources"][number]["configs"][number];

/** AlterConfigOp.java */
const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;

export const incrementalAlterConfigs = handler(incrementalAlterConfigsApi, async (request, context) => ({
  responses: await inTurn(
    distinct(request.resources, ({ resourceType, resourceName }) => `${resourceType}/${resourceName}`),
    async (resource) => {
      const altered = await settle(() =>
        alterTopicConfig({ ...resource, validateOnly: request.validateOnly }, context, (current) => {
          const overrides = new Map(Object.entries(current));
          for (const change of resource.configs) apply(overrides, change, context);
          return overrides;
        }),
      );
      return alteredAnswer(resource, altered);
    },
  ),
}));

function apply(overrides: Map<string, string>, change: Change, { options }: RequestContext): void {
  const { name, configOperation, value } = change;
  const row = topicConfigs.get(name);
  if (row === undefined) throw new StreamError("INVALID_CONFIG", `${name} is not a topic configuration key`);
  if (configOperation === DELETE) {
    overrides.delete(name);
    return;
  }
  if (value === null) throw new StreamError("INVALID_CONFIG", `${name} has no value`);
  if (configOperation === SET) {
    overrides.set(name, value);
    return;
  }
  if (configOperation !== APPEND && configOperation !== SUBTRACT) {
    throw new StreamError("INVALID_REQUEST", `operation ${configOperation} does not exist`);
  }
  if (row.type !== "list") throw new StreamError("INVALID_CONFIG", `${name} is not a list`);
  const current = listOf(overrides.get(name) ?? options.topicDefaults[name] ?? row.fallback);
  const given = listOf(value);
  const others = current.filter((each) => !given.includes(each));
  overrides.set(name, (configOperation === APPEND ? [...others, ...given] : others).join(","));
}
