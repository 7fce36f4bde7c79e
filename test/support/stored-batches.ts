/** What the hub really stores of a topic: its batches' headers, fetched without any client library between. */
import { codecOf, readBatchHeader, splitBatches } from "../../shared/batch/record-batch.ts";
import type { Codec } from "../../shared/batch/record-batch.ts";
import { zeroId } from "../../hub/kafka/topic-ids.ts";
import { fetchApi } from "../../hub/kafka/schemas/records.ts";
import type { After } from "./clean-up.ts";
import { readResponse, requestFrame } from "./kafka-hub.ts";
import { RawKafkaClient } from "./raw-kafka-client.ts";

export type StoredBatch = { readonly partition: number; readonly codec: Codec; readonly producerId: bigint };

/** By name, uncompressed or as stored. */
const FETCH_VERSION = 12;
const PARTITION_BYTES_MAX = 4 * 1024 * 1024;

export async function storedBatches(
  t: After,
  { port, topic, partitions }: { readonly port: number; readonly topic: string; readonly partitions: number },
): Promise<readonly StoredBatch[]> {
  const client = await RawKafkaClient.connect(t, { host: "127.0.0.1", port });
  client.send(
    requestFrame(fetchApi, FETCH_VERSION, {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: PARTITION_BYTES_MAX * partitions,
      isolationLevel: 0,
      topics: [
        {
          topic,
          topicId: zeroId,
          partitions: Array.from({ length: partitions }, (_, partition) => ({
            partition,
            fetchOffset: 0,
            partitionMaxBytes: PARTITION_BYTES_MAX,
          })),
        },
      ],
      forgottenTopicsData: [],
    }),
  );
  const { responses } = readResponse(fetchApi, FETCH_VERSION, await client.receive());
  client.socket.destroy();
  const answered = responses.flatMap(({ partitions: each }) => each);
  return answered.flatMap(({ partitionIndex, records }) =>
    headersOf(records).map((each) => ({ partition: partitionIndex, ...each })),
  );
}

function headersOf(records: Buffer | null): { readonly codec: Codec; readonly producerId: bigint }[] {
  return Array.from(splitBatches(records ?? Buffer.alloc(0)), (batch) => {
    const header = readBatchHeader(batch);
    return { codec: codecOf(header), producerId: header.producerId };
  });
}
