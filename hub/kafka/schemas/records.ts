/** APIs that move records, or say where they are. */
import { api, array, bigint64, int16, int32, int64, int8, records, string, struct, structs, uuid } from "../schema.ts";

/**
 * Versions 0 to 2 are advertised but not served: librdkafka up to 2.11.0 compresses only where the range begins at 0
 * (KAFKA-18659). Version 12 would imply transactions of the second kind, 13 topic ids.
 */
export const produceApi = api({
  key: 0,
  name: "Produce",
  note: "versions 0 to 2 are listed for old librdkafka and close the connection",
  versions: [3, 11],
  advertisedFrom: 0,
  flexibleFrom: 9,
  request: {
    transactionalId: string.nullable(),
    acks: int16,
    timeoutMs: int32,
    topicData: structs({
      name: string,
      partitionData: structs({ index: int32, records: records.nullable() }),
    }),
  },
  response: {
    responses: structs({
      name: string,
      partitionResponses: structs({
        index: int32,
        errorCode: int16,
        baseOffset: int64,
        logAppendTimeMs: int64,
        logStartOffset: int64.from(5),
        recordErrors: structs({ batchIndex: int32, batchIndexErrorMessage: string.nullable() }).from(8).or([]),
        errorMessage: string.nullable().from(8),
      }),
    }),
    throttleTimeMs: int32.or(0),
  },
});

export const fetchApi = api({
  key: 1,
  name: "Fetch",
  note: "with sessions from version 7, topic ids from 13 on; zstd is unpacked for clients that may not know it",
  versions: [4, 17],
  flexibleFrom: 12,
  request: {
    clusterId: string.nullable().from(12).or(null).tagged(0),
    replicaId: int32.until(14).or(-1),
    replicaState: struct({ replicaId: int32.or(-1), replicaEpoch: int64.or(-1) })
      .from(15)
      .tagged(1),
    maxWaitMs: int32,
    minBytes: int32,
    maxBytes: int32,
    isolationLevel: int8,
    sessionId: int32.from(7).or(0),
    sessionEpoch: int32.from(7).or(-1),
    topics: structs({
      topic: string.until(12).or(""),
      topicId: uuid.from(13),
      partitions: structs({
        partition: int32,
        currentLeaderEpoch: int32.from(9).or(-1),
        fetchOffset: int64,
        lastFetchedEpoch: int32.from(12).or(-1),
        logStartOffset: int64.from(5).or(-1),
        partitionMaxBytes: int32,
      }),
    }),
    forgottenTopicsData: structs({
      topic: string.until(12).or(""),
      topicId: uuid.from(13),
      partitions: array(int32),
    })
      .from(7)
      .or([]),
    rackId: string.from(11).or(""),
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16.from(7).or(0),
    sessionId: int32.from(7).or(0),
    responses: structs({
      topic: string.until(12),
      topicId: uuid.from(13),
      partitions: structs({
        partitionIndex: int32,
        errorCode: int16,
        highWatermark: int64,
        lastStableOffset: int64,
        logStartOffset: int64.from(5),
        abortedTransactions: structs({ producerId: bigint64, firstOffset: int64 }).nullable(),
        preferredReadReplica: int32.from(11).or(-1),
        records: records.nullable(),
      }),
    }),
  },
});

export const listOffsetsApi = api({
  key: 2,
  name: "ListOffsets",
  note: "nothing is tiered: all records are local",
  versions: [1, 10],
  flexibleFrom: 6,
  request: {
    replicaId: int32,
    isolationLevel: int8.from(2).or(0),
    topics: structs({
      name: string,
      partitions: structs({ partitionIndex: int32, currentLeaderEpoch: int32.from(4).or(-1), timestamp: int64 }),
    }),
    timeoutMs: int32.from(10).or(0),
  },
  response: {
    throttleTimeMs: int32.from(2).or(0),
    topics: structs({
      name: string,
      partitions: structs({
        partitionIndex: int32,
        errorCode: int16,
        timestamp: int64,
        offset: int64,
        leaderEpoch: int32.from(4),
      }),
    }),
  },
});

export const offsetForLeaderEpochApi = api({
  key: 23,
  name: "OffsetForLeaderEpoch",
  note: "one node has one epoch, 0",
  versions: [2, 4],
  flexibleFrom: 4,
  request: {
    replicaId: int32.from(3).or(-2),
    topics: structs({
      topic: string,
      partitions: structs({ partition: int32, currentLeaderEpoch: int32, leaderEpoch: int32 }),
    }),
  },
  response: {
    throttleTimeMs: int32.or(0),
    topics: structs({
      topic: string,
      partitions: structs({ errorCode: int16, partition: int32, leaderEpoch: int32, endOffset: int64 }),
    }),
  },
});

export const deleteRecordsApi = api({
  key: 21,
  name: "DeleteRecords",
  versions: [0, 2],
  flexibleFrom: 2,
  request: {
    topics: structs({ name: string, partitions: structs({ partitionIndex: int32, offset: int64 }) }),
    timeoutMs: int32,
  },
  response: {
    throttleTimeMs: int32.or(0),
    topics: structs({
      name: string,
      partitions: structs({ partitionIndex: int32, lowWatermark: int64, errorCode: int16 }),
    }),
  },
});

export const initProducerIdApi = api({
  key: 22,
  name: "InitProducerId",
  note: "for idempotent producers; 53 with a transactional id",
  versions: [0, 5],
  flexibleFrom: 2,
  request: {
    transactionalId: string.nullable(),
    transactionTimeoutMs: int32,
    producerId: bigint64.from(3).or(-1n),
    producerEpoch: int16.from(3).or(-1),
  },
  response: { throttleTimeMs: int32.or(0), errorCode: int16, producerId: bigint64, producerEpoch: int16 },
});

export const describeProducersApi = api({
  key: 61,
  name: "DescribeProducers",
  note: "the last timestamp is the hub's, of when the batch was stored",
  versions: [0, 0],
  flexibleFrom: 0,
  request: { topics: structs({ name: string, partitionIndexes: array(int32) }) },
  response: {
    throttleTimeMs: int32.or(0),
    topics: structs({
      name: string,
      partitions: structs({
        partitionIndex: int32,
        errorCode: int16,
        errorMessage: string.nullable(),
        activeProducers: structs({
          producerId: bigint64,
          producerEpoch: int32,
          lastSequence: int32,
          lastTimestamp: int64,
          coordinatorEpoch: int32,
          currentTxnStartOffset: int64,
        }),
      }),
    }),
  },
});
