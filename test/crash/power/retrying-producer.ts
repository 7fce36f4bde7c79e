/**
 * An idempotent Kafka producer with up to five batches on their way, that notes in the journal what it sends and what is
 * answered, and after a cut sends again as clients do.
 */
import assert from "node:assert/strict";
import type { After } from "../../support/clean-up.ts";
import { readResponse, requestFrame } from "../../support/kafka-hub.ts";
import { RawKafkaClient } from "../../support/raw-kafka-client.ts";
import { initProducerIdApi, produceApi } from "../../../hub/kafka/schemas/records.ts";
import { batchOf, idsOf } from "./producer-records.ts";
import type { ProducerPlan } from "./producer-records.ts";
import type { Note } from "./witness.ts";

/** As many as Kafka's clients have in flight, and as the hub remembers. */
export const IN_FLIGHT_MAX = 5;
const PRODUCE_VERSION = 8;
const INIT_VERSION = 1;
const TIMEOUT_MS = 30_000;

type Parts = { readonly port: number; readonly note: (each: Note) => void };

export class RetryingProducer {
  readonly plan: ProducerPlan;
  readonly #client: RawKafkaClient;
  readonly #note: (each: Note) => void;
  /** The next batch that was never sent. */
  #next: number;

  private constructor(client: RawKafkaClient, plan: ProducerPlan, next: number, note: (each: Note) => void) {
    this.plan = plan;
    this.#client = client;
    this.#next = next;
    this.#note = note;
  }

  static async open(
    t: After,
    { port, note }: Parts,
    plan: Omit<ProducerPlan, "producerId" | "producerEpoch">,
  ): Promise<RetryingProducer> {
    const client = await RawKafkaClient.connect(t, { host: "127.0.0.1", port });
    client.send(
      requestFrame(initProducerIdApi, INIT_VERSION, { transactionalId: null, transactionTimeoutMs: TIMEOUT_MS }),
    );
    const { errorCode, producerId, producerEpoch } = readResponse(
      initProducerIdApi,
      INIT_VERSION,
      await client.receive(),
    );
    assert.equal(errorCode, 0, "the hub gives producer ids");
    const whole = { ...plan, producerId: String(producerId), producerEpoch };
    note({ type: "producer", plan: whole });
    return new RetryingProducer(client, whole, 0, note);
  }

  /** As it was before the cut; what it had sent by then is sent again first. */
  static async resume(
    t: After,
    { port, note }: Parts,
    { plan, from, sent }: { readonly plan: ProducerPlan; readonly from: number; readonly sent: number },
  ): Promise<RetryingProducer> {
    const client = await RawKafkaClient.connect(t, { host: "127.0.0.1", port });
    const producer = new RetryingProducer(client, plan, from, note);
    await producer.produce(sent - from);
    return producer;
  }

  /** @throws when the hub refuses one, or answers a repeat with another offset than before. */
  async produce(batches: number): Promise<void> {
    const end = this.#next + batches;
    for (let answered = this.#next; answered < end; answered++) {
      for (; this.#next < end && this.#next - answered < IN_FLIGHT_MAX; this.#next++) this.#send(this.#next);
      await this.#hear(answered);
    }
  }

  close(): void {
    this.#client.socket.destroy();
  }

  #send(batch: number): void {
    const { topic, partition, name } = this.plan;
    this.#note({ type: "sending", topic, keys: idsOf(this.plan, batch), by: { producer: name, batch } });
    const partitionData = [{ index: partition, records: [batchOf(this.plan, batch)] }];
    this.#client.send(
      requestFrame(produceApi, PRODUCE_VERSION, {
        transactionalId: null,
        acks: -1,
        timeoutMs: TIMEOUT_MS,
        topicData: [{ name: topic, partitionData }],
      }),
    );
  }

  async #hear(batch: number): Promise<void> {
    const { topic, partition, name } = this.plan;
    const { responses } = readResponse(produceApi, PRODUCE_VERSION, await this.#client.receive());
    const answer = responses[0]?.partitionResponses[0];
    assert.equal(answer?.errorCode, 0, `${name}: batch ${batch} is taken`);
    const offset = answer.baseOffset;
    this.#note({ type: "acked", topic, partition, offset, keys: idsOf(this.plan, batch) });
  }
}
