/**
 * Produce: checks each partition's batch, stores it, and answers once it is flushed. acks=1 and acks=-1 are
 * the same on one node: an acknowledgement is a promise. acks=0 is not answered; its only sign of trouble is a closed
 * connection. Topics are never created here; clients ask Metadata first.
 */
import { StreamError } from "../../../shared/errors.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import type { Timestamp } from "../../../shared/ids.ts";
import type { Durability } from "../../../shared/record.ts";
import { checkTopic } from "../../access/authorize.ts";
import { handler, NO_ERROR, NO_RESPONSE, settle } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import { checkProduced } from "../../topics/produce-check.ts";
import { recordErrorsOf } from "../../topics/record-errors.ts";
import type { RequestOf, ResponseOf } from "../schema.ts";
import { produceApi } from "../schemas/records.ts";
import { storedForm } from "../../topics/stored-form.ts";
import { produceSettings } from "../../topics/topic-configs.ts";

type ProduceRequest = RequestOf<typeof produceApi>;
type TopicResponse = ResponseOf<typeof produceApi>["responses"][number];
type PartitionResponse = TopicResponse["partitionResponses"][number];

const ACKS_NONE = 0;
const ACKS_LEADER = 1;
const ACKS_ALL = -1;
/** log_append_time of a topic that keeps the producer's time. */
const NO_APPEND_TIME = -1;
const NO_RECORDS = Buffer.alloc(0);

export const produce = handler(produceApi, async (request, context) => {
  const refusal = refusalOf(request);
  const durability = request.acks === ACKS_NONE ? "os" : "fsync";
  // Every append is asked for before the first await: the requests of one connection take effect in order.
  const pending = request.topicData.map(({ name, partitionData }) =>
    partitionData.map(({ index, records }) =>
      refusal === undefined
        ? append({ topic: name, partition: index, records, durability }, context)
        : Promise.resolve(failed(index, new StreamError(refusal, "produce request refused"))),
    ),
  );
  const responses: TopicResponse[] = [];
  for (const [topicIndex, partitions] of pending.entries()) {
    const name = request.topicData[topicIndex]?.name ?? "";
    responses.push({ name, partitionResponses: await Promise.all(partitions) });
  }
  if (request.acks !== ACKS_NONE) return { responses };
  const isFailed = responses.some(({ partitionResponses }) =>
    partitionResponses.some((each) => each.errorCode !== NO_ERROR),
  );
  if (isFailed)
    throw new StreamError("INVALID_REQUEST", "a produce request with acks=0 failed; the client must notice");
  return NO_RESPONSE;
});

function refusalOf({ acks, transactionalId }: ProduceRequest): ErrorCode | undefined {
  if (acks !== ACKS_NONE && acks !== ACKS_LEADER && acks !== ACKS_ALL) return "INVALID_REQUIRED_ACKS";
  return transactionalId === null ? undefined : "TRANSACTIONS_NOT_SUPPORTED";
}

type PartitionData = {
  readonly topic: string;
  readonly partition: number;
  readonly records: Buffer | null;
  readonly durability: Durability;
};

/** Runs up to the engine's append without waiting for anything. */
async function append(data: PartitionData, context: RequestContext): Promise<PartitionResponse> {
  const result = await settle(() => checkAndAppend(data, context));
  return result instanceof StreamError ? failed(data.partition, result) : result;
}

function checkAndAppend(
  { topic, partition, records, durability }: PartitionData,
  context: RequestContext,
): Promise<PartitionResponse> {
  const { engine, clock, options, version } = context;
  checkTopic(context, "write", topic);
  const info = engine.topics.get(topic);
  if (info === undefined || partition < 0 || partition >= info.partitionCount) {
    throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `${topic}/${partition} does not exist`);
  }
  const settings = produceSettings(info.config, options.topicDefaults);
  const now = clock.wallMs();
  const checked = checkProduced(records, { settings, produceVersion: version, now });
  const { batch, header } = storedForm(records ?? NO_RECORDS, checked, { settings, now });
  return engine
    .append({ topic, partition, batch, header, durability })
    .then(({ baseOffset, logStartOffset }) =>
      stored(partition, { baseOffset, logStartOffset, appendTime: settings.isLogAppendTime ? now : NO_APPEND_TIME }),
    );
}

function stored(
  index: number,
  at: { readonly baseOffset: number; readonly logStartOffset: number; readonly appendTime: Timestamp },
): PartitionResponse {
  return {
    index,
    errorCode: NO_ERROR,
    baseOffset: at.baseOffset,
    logAppendTimeMs: at.appendTime,
    logStartOffset: at.logStartOffset,
    errorMessage: null,
  };
}

function failed(index: number, error: StreamError): PartitionResponse {
  return {
    index,
    errorCode: error.wire,
    baseOffset: -1,
    logAppendTimeMs: NO_APPEND_TIME,
    logStartOffset: -1,
    recordErrors: recordErrorsOf(error),
    errorMessage: error.reason,
  };
}
