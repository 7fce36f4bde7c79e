/** DescribeLogDirs: what each partition takes on the hub's disk, and how much room that has. */
import { statfs } from "node:fs/promises";
import path from "node:path";
import type { TopicInfo } from "../../engine/engine.ts";
import { mayCluster } from "../../access/authorize.ts";
import { distinct, handler, NO_ERROR, wireCode } from "../handler.ts";
import type { RequestContext } from "../handler.ts";
import type { RequestOf, ResponseOf } from "../schema.ts";
import { describeLogDirsApi } from "../schemas/log-dirs.ts";

type AskedTopics = RequestOf<typeof describeLogDirsApi>["topics"];
type TopicAnswer = ResponseOf<typeof describeLogDirsApi>["results"][number]["topics"][number];

/** The answer has an error of its own. */
const ERROR_FROM_VERSION = 3;

export const describeLogDirs = handler(describeLogDirsApi, async ({ topics }, context) => {
  if (!mayCluster(context, "describe")) return refused(context.version);
  const logDir = path.resolve(context.options.dataDirectory);
  return {
    errorCode: NO_ERROR,
    results: [{ errorCode: NO_ERROR, logDir, topics: sizesOf(topics, context), ...(await roomOf(logDir)) }],
  };
});

/** Older versions have no place for the error but beside the directory, which is not told. */
function refused(version: number) {
  const errorCode = wireCode("CLUSTER_AUTHORIZATION_FAILED");
  return { errorCode, results: version < ERROR_FROM_VERSION ? [{ errorCode, logDir: "", topics: [] }] : [] };
}

/** What is asked for and does not exist is left out, as in Kafka. */
function sizesOf(asked: AskedTopics, { engine }: RequestContext): readonly TopicAnswer[] {
  if (asked === null) return Array.from(engine.topics.values(), (info) => answer(info, allPartitions(info)));
  return distinct(asked, ({ topic }) => topic).flatMap(({ topic, partitions }) => {
    const info = engine.topics.get(topic);
    if (info === undefined) return [];
    const known = distinct(partitions, String).filter((index) => index >= 0 && index < info.partitionCount);
    return [answer(info, known)];
  });

  function answer({ name }: TopicInfo, partitions: readonly number[]): TopicAnswer {
    return {
      name,
      partitions: partitions.map((partition) => ({
        partitionIndex: partition,
        partitionSize: engine.offsets({ topic: name, partition }).bytes,
      })),
    };
  }
}

const allPartitions = ({ partitionCount }: TopicInfo): readonly number[] =>
  Array.from({ length: partitionCount }).map((_, i) => i);

async function roomOf(directory: string) {
  try {
    const { blocks, bavail, bsize } = await statfs(directory);
    return { totalBytes: blocks * bsize, usableBytes: bavail * bsize };
  } catch {
    // Not every file system tells; the sizes are answered all the same.
    return { totalBytes: -1, usableBytes: -1 };
  }
}
