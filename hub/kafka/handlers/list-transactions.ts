/** ListTransactions: there are none. */
import { handler, NO_ERROR } from "../handler.ts";
import { listTransactionsApi } from "../schemas/transactions.ts";

/** TransactionState.java */
const states = new Set([
  "Empty",
  "Ongoing",
  "PrepareCommit",
  "PrepareAbort",
  "CompleteCommit",
  "CompleteAbort",
  "Dead",
  "PrepareEpochFence",
]);

export const listTransactions = handler(listTransactionsApi, ({ stateFilters }) => ({
  errorCode: NO_ERROR,
  unknownStateFilters: stateFilters.filter((state) => !states.has(state)),
  transactionStates: [],
}));
