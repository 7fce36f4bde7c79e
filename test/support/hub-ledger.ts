import type { DeclaredLoss, LossLedger } from "../../hub/uplink/loss-ledger.ts";

/** A hub's loss ledger that notes in `losses` whatever is declared, also when it is declared again. */
export function ledgerOf(losses: DeclaredLoss[]): LossLedger {
  return {
    record: async (loss) => void losses.push(loss),
    list: async (entriesMax) => losses.slice(-entriesMax).toReversed(),
    totals: async (producerId) =>
      [...new Map(losses.map((loss) => [keyOf(loss), loss])).values()].filter(
        (loss) => producerId === undefined || loss.producerId === producerId,
      ),
  };
}

/** What makes two declarations the same entry; the later one counts. */
function keyOf({ producerId, topic, partition, epoch, from, entry, reason }: DeclaredLoss): string {
  return [producerId, topic, partition, epoch, from, entry, reason].join();
}
