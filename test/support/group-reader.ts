/** A KafkaJS consumer group of one member, in the test's own process, that keeps what it reads. */
import type { Consumer } from "kafkajs";
import type { After } from "./child-process.ts";
import type { CheckedRecord } from "./checker.ts";
import { decodePayload } from "./payload.ts";
import { kafkaJs } from "./topic-ends.ts";

export type GroupReader = {
  readonly records: readonly CheckedRecord[];
  /** Commits what it has and leaves the group. */
  stop(): Promise<void>;
};

export type GroupReaderOptions = { readonly address: string; readonly group: string; readonly topic: string };

/** Reads from the committed offsets, or from the beginning where there are none. */
export async function startGroupReader(t: After, { address, group, topic }: GroupReaderOptions): Promise<GroupReader> {
  const records: CheckedRecord[] = [];
  const consumer: Consumer = kafkaJs(address).consumer({ groupId: group });
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await consumer.stop();
    await consumer.disconnect();
  };
  t.after(stop);
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    eachBatch: async ({ batch, resolveOffset }) => {
      for (const { offset, value } of batch.messages) {
        const { client, sequence } = decodePayload(value?.toString("latin1") ?? "");
        records.push({ partition: batch.partition, offset: Number(offset), client, sequence });
        resolveOffset(offset);
      }
    },
  });
  return { records, stop };
}
