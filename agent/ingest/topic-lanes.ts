/**
 * The Kafka topics that messages go to, each with a lane per partition. A topic that does not exist yet is made on first
 * use; until it is there, it has no lanes.
 */
import type { BatchBuilder } from "../../shared/batch/batch-builder.ts";
import type { StreamError } from "../../shared/errors.ts";
import { toStreamError } from "../../shared/errors.ts";
import type { LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { OpenCommit } from "./open-commit.ts";
import type { Destination, Route, TopicPolicy } from "./route.ts";
import { UNROUTED_TOPIC, policyOf } from "./route.ts";

/**
 * Topics in the agent's log. Devices choose what a topic template is filled with; beyond this their messages go to the
 * topic `mqtt`, so that no device can fill the box with topics.
 */
export const TOPICS_MAX = 1000;

/** One partition, and the batch that gathers records for it. */
export type Lane = {
  readonly topic: TopicLanes;
  readonly partition: LogPartition;
  /** While records are gathered. */
  builder: BatchBuilder | undefined;
};

export class TopicLanes {
  readonly name: string;
  readonly policy: TopicPolicy;
  lanes: readonly Lane[] = [];
  isBeingMade = false;
  /** What a full log holds back of a `block` topic. */
  held: OpenCommit | undefined;
  #turn = 0;

  constructor(name: string, policy: TopicPolicy) {
    this.name = name;
    this.policy = policy;
  }

  /** `keyHash` undefined: each lane in turn. The topic must have lanes. */
  lane(keyHash: number | undefined): Lane {
    const count = this.lanes.length;
    const index = keyHash === undefined ? this.#turn++ % count : keyHash % count;
    return this.lanes[index] as Lane;
  }
}

export type DirectoryLog = Pick<PartitionedLog, "topics" | "createTopic">;

export type TopicDirectoryOptions = {
  readonly log: DirectoryLog;
  readonly routes: readonly Route[];
  /** What the hub has, for topics that exist there; its count goes before the route's. */
  readonly partitionCountOf: (topic: string) => number | undefined;
  /** The topic has its lanes now, or could not be made. */
  readonly onMade: (topic: TopicLanes, error: StreamError | undefined) => void;
};

export class TopicDirectory {
  readonly #options: TopicDirectoryOptions;
  readonly #topics = new Map<string, TopicLanes>();

  constructor(options: TopicDirectoryOptions) {
    this.#options = options;
  }

  /** Does not make the topic yet. */
  lanesOf(destination: Destination): TopicLanes {
    const { log, routes } = this.#options;
    const { topic: wanted } = destination;
    const isKnown = this.#topics.has(wanted) || log.topics.has(wanted) || wanted === UNROUTED_TOPIC;
    const name = isKnown || this.#count() < TOPICS_MAX ? wanted : UNROUTED_TOPIC;
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const topic = new TopicLanes(name, policyOf(routes, name));
    this.#topics.set(name, topic);
    this.#follow(topic);
    return topic;
  }

  /** Makes a topic without lanes; `onMade` tells the end. */
  make(topic: TopicLanes): void {
    if (topic.isBeingMade) return;
    topic.isBeingMade = true;
    void this.#make(topic).then((error) => {
      topic.isBeingMade = false;
      this.#follow(topic);
      this.#options.onMade(topic, error);
    });
  }

  /** Topics may have grown: the hub's partition count rules. */
  refresh(changed: readonly LogPartition[]): void {
    for (const partition of changed) {
      const topic = this.#topics.get(partition.topic);
      // One that is being made gets its lanes together with the messages that wait for it, so that none overtakes them.
      if (topic !== undefined && !topic.isBeingMade) this.#follow(topic);
    }
  }

  async #make(topic: TopicLanes): Promise<StreamError | undefined> {
    const { log, partitionCountOf } = this.#options;
    const partitionCount = partitionCountOf(topic.name) ?? topic.policy.partitions;
    try {
      await log.createTopic({ name: topic.name, partitionCount });
      return undefined;
    } catch (error) {
      // The uplink may have made it at the same moment, after the hub's count.
      return log.topics.has(topic.name) ? undefined : toStreamError(error);
    }
  }

  #follow(topic: TopicLanes): void {
    const partitions = this.#options.log.topics.get(topic.name)?.partitions ?? [];
    if (partitions.length <= topic.lanes.length) return;
    const added = partitions.slice(topic.lanes.length);
    topic.lanes = [...topic.lanes, ...added.map((partition): Lane => ({ topic, partition, builder: undefined }))];
  }

  /** Topics in the log, and those that are about to be. */
  #count(): number {
    let count = this.#options.log.topics.size;
    for (const name of this.#topics.keys()) if (!this.#options.log.topics.has(name)) count++;
    return count;
  }
}
