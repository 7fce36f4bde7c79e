/** A KafkaJS consumer group of one member, in the test's own process, that keeps what it reads. */
import type { Consumer } from "kafkajs";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";
import type { CheckedRecord } from "./checker.ts";
import { decodePayload } from "./payload.ts";
import { kafkaJs } from "./topic-ends.ts";

export type GroupReader = {
  readonly records: readonly CheckedRecord[];
  /** By partition: after the last record read. */
  readonly positions: ReadonlyMap<number, number>;
  /** Commits what it has and leaves the group. */
  stop(): Promise<void>;
};

export type GroupReaderOptions = { readonly address: string; readonly group: string; readonly topic: string };

/** Stopping waits for the fetch that is on its way. */
const FETCH_WAIT_MS = 200;

/** Reads from the committed offsets, or from the beginning where there are none. */
export async function startGroupReader(t: After, { address, group, topic }: GroupReaderOptions): Promise<GroupReader> {
  const records: CheckedRecord[] = [];
  const positions = new Map<number, number>();
  const consumer: Consumer = kafkaJs(address).consumer({ groupId: group, maxWaitTimeInMs: FETCH_WAIT_MS });
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await consumer.stop();
    await consumer.disconnect();
  };
  onCleanUp(t, stop);
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    eachBatch: async ({ batch, resolveOffset }) => {
      for (const { offset, value } of batch.messages) {
        const { client, sequence } = decodePayload(value?.toString("latin1") ?? "");
        records.push({ partition: batch.partition, offset: Number(offset), client, sequence });
        positions.set(batch.partition, Number(offset) + 1);
        resolveOffset(offset);
      }
    },
  });
  return { records, positions, stop };
}
