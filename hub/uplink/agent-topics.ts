/** The topics an agent announces, as the hub has them; made or grown to fit where that is allowed. */
import { toStreamError } from "../../shared/errors.ts";
import type { ProducerId } from "../../shared/ids.ts";
import type { Logger } from "../../shared/logger.ts";
import type { HelloTopic, UplinkPosition } from "../../shared/uplink/frames.ts";
import type { Engine } from "../engine/engine.ts";

export type TopicEngine = Pick<Engine, "topics" | "createTopic" | "createPartitions" | "producerPositions">;

export class AgentTopics {
  readonly #engine: TopicEngine;
  readonly #autoCreate: boolean;
  readonly #logger: Logger;

  constructor(engine: TopicEngine, autoCreate: boolean, logger: Logger) {
    this.#engine = engine;
    this.#autoCreate = autoCreate;
    this.#logger = logger;
  }

  /** Those of the announced topics that exist now, with the partition counts they have. */
  async ensure(announced: readonly HelloTopic[]): Promise<HelloTopic[]> {
    const present: HelloTopic[] = [];
    for (const topic of announced) {
      // One after the other, so that the engine's limits see each of them.
      if (this.#autoCreate) await this.#fit(topic);
      const found = this.#engine.topics.get(topic.name);
      if (found !== undefined) present.push({ name: topic.name, partitions: found.partitionCount });
    }
    return present;
  }

  /** Where the producer stands in these topics, after everything it has sent before. */
  async positions(producerId: ProducerId, topics: readonly HelloTopic[]): Promise<UplinkPosition[]> {
    const names = new Set(topics.map(({ name }) => name));
    const positions = await this.#engine.producerPositions(producerId);
    return positions
      .filter(({ topic }) => names.has(topic))
      .map(({ topic, partition, producerEpoch: epoch, lastSequence }) => ({ topic, partition, epoch, lastSequence }));
  }

  async #fit({ name, partitions }: HelloTopic): Promise<void> {
    try {
      const found = this.#engine.topics.get(name);
      if (found === undefined) await this.#engine.createTopic({ name, partitionCount: partitions });
      else if (found.partitionCount < partitions) await this.#engine.createPartitions(name, partitions);
    } catch (error) {
      const { code, message } = toStreamError(error);
      // Another agent may have been faster. Otherwise the agent keeps the records and asks again.
      if (code === "TOPIC_ALREADY_EXISTS" || code === "INVALID_PARTITIONS") return;
      this.#logger.warn({ topic: name, partitions, code, reason: message }, "an agent's topic could not be made");
    }
  }
}
