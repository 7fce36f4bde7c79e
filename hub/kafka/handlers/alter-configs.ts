/** AlterConfigs: replaces all overrides of a topic by those of the request. */
import { StreamError } from "../../../shared/errors.ts";
import { alterTopicConfig, alteredAnswer } from "../alter-topic-config.ts";
import { distinct, handler, inTurn, settle } from "../handler.ts";
import { alterConfigsApi } from "../schemas/topics.ts";

export const alterConfigs = handler(alterConfigsApi, async ({ resources, validateOnly }, context) => ({
  responses: await inTurn(
    distinct(resources, ({ resourceType, resourceName }) => `${resourceType}/${resourceName}`),
    async (resource) => {
      const altered = await settle(() =>
        alterTopicConfig({ ...resource, validateOnly }, context, () => {
          const overrides = new Map<string, string>();
          for (const { name, value } of resource.configs) {
            if (value === null) throw new StreamError("INVALID_CONFIG", `${name} has no value`);
            overrides.set(name, value);
          }
          return overrides;
        }),
      );
      return alteredAnswer(resource, altered);
    },
  ),
}));
