/**
 * What can be asked about transactions, of which there are none (docs/adr). The APIs that would make one are not
 * served; InitProducerId and FindCoordinator, which come before them, say why.
 */
import { api, array, bigint64, int16, int32, int64, string, structs } from "../schema.ts";

export const describeTransactionsApi = api({
  key: 65,
  name: "DescribeTransactions",
  note: "105 for every id: there are no transactions",
  versions: [0, 0],
  flexibleFrom: 0,
  request: { transactionalIds: array(string) },
  response: {
    throttleTimeMs: int32.or(0),
    transactionStates: structs({
      errorCode: int16,
      transactionalId: string,
      transactionState: string.or(""),
      transactionTimeoutMs: int32.or(0),
      transactionStartTimeMs: int64.or(0),
      producerId: bigint64.or(-1n),
      producerEpoch: int16.or(-1),
      topics: structs({ topic: string, partitions: array(int32) }).or([]),
    }),
  },
});

export const listTransactionsApi = api({
  key: 66,
  name: "ListTransactions",
  note: "an empty list: there are no transactions",
  versions: [0, 2],
  flexibleFrom: 0,
  request: {
    stateFilters: array(string),
    producerIdFilters: array(bigint64),
    durationFilter: int64.from(1).or(-1),
    transactionalIdPattern: string.nullable().from(2).or(null),
  },
  response: {
    throttleTimeMs: int32.or(0),
    errorCode: int16,
    unknownStateFilters: array(string),
    transactionStates: structs({ transactionalId: string, producerId: bigint64, transactionState: string }),
  },
});
