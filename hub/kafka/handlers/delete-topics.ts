/** DeleteTopics: records, configuration and committed offsets of a topic go; waiting fetches are told by the engine. */
import { StreamError } from "../../../shared/errors.ts";
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
      if (topic !== undefined && !isZeroId(topicId)) return remove(topic.name, topicId, context);
      return Promise.resolve(failed(null, topicId, new StreamError("UNKNOWN_TOPIC_ID", "no topic has this id")));
    }),
  };
});

async function remove(name: string, askedId: Buffer, { engine, groups }: RequestContext): Promise<TopicAnswer> {
  const topicId = engine.topics.get(name)?.id ?? askedId;
  const deleted = await settle(async () => {
    await engine.deleteTopic(name);
    await groups.forgetTopic(name);
  });
  if (deleted instanceof StreamError) return failed(name, topicId, deleted);
  return { name, topicId, errorCode: NO_ERROR, errorMessage: null };
}

function failed(name: string | null, topicId: Buffer, error: StreamError): TopicAnswer {
  return { name, topicId, errorCode: error.wire, errorMessage: error.message };
}
