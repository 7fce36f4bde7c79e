/** The topics an agent announces, as the hub has them; made or grown to fit where that is allowed. */
import { toStreamError } from "../../shared/errors.ts";
import type { ProducerId } from "../../shared/ids.ts";
import type { Logger } from "../../shared/logger.ts";
import type { HelloTopic, UplinkPosition } from "../../shared/uplink/frames.ts";
import type { Engine } from "../engine/engine.ts";
import type { LossLedger } from "./loss-ledger.ts";

export type TopicEngine = Pick<Engine, "topics" | "createTopic" | "createPartitions" | "producerPositions">;

export type AgentTopicsParts = {
  readonly engine: TopicEngine;
  readonly ledger: Pick<LossLedger, "totals">;
  readonly autoCreateTopics: boolean;
  readonly logger: Logger;
};

type PlacedPosition = Awaited<ReturnType<TopicEngine["producerPositions"]>>[number] & {
  readonly sideProducer?: ProducerId;
};

export class AgentTopics {
  readonly #engine: TopicEngine;
  readonly #ledger: Pick<LossLedger, "totals">;
  readonly #autoCreate: boolean;
  readonly #logger: Logger;

  constructor({ engine, ledger, autoCreateTopics, logger }: AgentTopicsParts) {
    this.#engine = engine;
    this.#ledger = ledger;
    this.#autoCreate = autoCreateTopics;
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

  /** Where the producers stand in these topics, after everything they have sent before. Losses are the first one's. */
  async positions(
    [producerId, ...sideProducers]: readonly [ProducerId, ...ProducerId[]],
    topics: readonly HelloTopic[],
  ): Promise<UplinkPosition[]> {
    const names = new Set(topics.map(({ name }) => name));
    const [own, totals, ...aside] = await Promise.all([
      this.#engine.producerPositions(producerId),
      this.#ledger.totals(producerId),
      ...sideProducers.map(async (sideProducer) => {
        const found = await this.#engine.producerPositions(sideProducer);
        return found.map((each) => ({ ...each, sideProducer }));
      }),
    ]);
    const positions: readonly PlacedPosition[] = [...own, ...aside.flat()];
    const lost = new Map<string, number>();
    for (const { topic, partition, records } of totals) {
      const place = `${topic}/${partition}`;
      lost.set(place, (lost.get(place) ?? 0) + records);
    }
    return positions
      .filter(({ topic }) => names.has(topic))
      .map(({ producerEpoch: epoch, ...at }) => ({ ...at, epoch, lost: lost.get(`${at.topic}/${at.partition}`) ?? 0 }));
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
