/** The agent's loss ledger without a database: what it writes goes to `call`, and it begins empty. */
import type { LedgerContents } from "../../agent/ledger/ledger-table.ts";
import { LossLedger } from "../../agent/ledger/loss-ledger.ts";
import type { LedgerOptions } from "../../agent/ledger/loss-ledger.ts";
import { systemClock } from "../../shared/clock.ts";

const empty: LedgerContents = { rows: [], totals: [], hubAhead: [] };

export function memoryLedger({
  clock = systemClock,
  call = async (calls) => calls.map(() => undefined),
}: {
  readonly clock?: LedgerOptions["clock"];
  readonly call?: LedgerOptions["log"]["call"];
} = {}): Promise<LossLedger> {
  return LossLedger.load({ log: { call, query: async () => empty }, clock });
}
