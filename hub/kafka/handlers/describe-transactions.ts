/** DescribeTransactions: there are none. */
import { distinct, handler, wireCode } from "../handler.ts";
import { describeTransactionsApi } from "../schemas/transactions.ts";

export const describeTransactions = handler(describeTransactionsApi, ({ transactionalIds }) => ({
  transactionStates: distinct(transactionalIds, String).map((transactionalId) => ({
    errorCode: wireCode("TRANSACTIONAL_ID_NOT_FOUND"),
    transactionalId,
  })),
}));
