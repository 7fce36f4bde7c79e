/** DeleteTopics: records, configuration and committed offsets of a topic go; waiting fetches are told by the engine. */
import { StreamError } from "../../../shared/errors.ts";
import { checkTopic, mayTopic, topicRefused } from "../../access/authorize.ts";
import { distinct, handler, inTurn, NO_ERROR, settle } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import type { ResponseOf } from "../schema.ts";
import { deleteTopicsApi } from "../schemas/topics.ts";
import { isZeroId, zeroId } from "../topic-ids.ts";

type TopicAnswer = ResponseOf<typeof deleteTopicsApi>["responses"][number];

export const deleteTopics = handler(deleteTopicsApi, async (request, context) => {
  const topicById = context.topicIds.forRequest();
  const byName = request.topicNames.map((name) => ({ name, topicId: zeroId }));
  const asked = distinct([...request.topics, ...byName], ({ name, topicId }) => name ?? topicId.toString("hex"));
  return {
    responses: await inTurn(asked, ({ name, topicId }) => {
      if (name !== null) return remove(name, topicId, context);
      const topic = topicById(topicId);
      if (topic === undefined || isZeroId(topicId)) {
        return failed(null, topicId, new StreamError("UNKNOWN_TOPIC_ID", "no topic has this id"));
      }
      if (mayTopic(context, "describe", topic.name)) return remove(topic.name, topicId, context);
      // An id is no secret, as in Kafka; the name behind it is.
      return failed(null, topicId, topicRefused(context, "delete", "of this id"));
    }),
  };
});

async function remove(name: string, askedId: Buffer, context: RequestContext): Promise<TopicAnswer> {
  const { engine, groups } = context;
  const topicId = mayTopic(context, "describe", name) ? (engine.topics.get(name)?.id ?? askedId) : askedId;
  const deleted = await settle(async () => {
    checkTopic(context, "delete", name);
    await engine.deleteTopic(name);
    await groups.forgetTopic(name);
  });
  if (deleted instanceof StreamError) return failed(name, topicId, deleted);
  return { name, topicId, errorCode: NO_ERROR, errorMessage: null };
}

function failed(name: string | null, topicId: Buffer, error: StreamError): TopicAnswer {
  return { name, topicId, errorCode: error.wire, errorMessage: error.reason };
}
