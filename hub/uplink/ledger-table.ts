/**
 * The loss ledger as a table in the hub's log database. An agent that has not heard the answer declares a gap again, and
 * may have lost more meanwhile; it is the same row, and the larger number counts.
 */
import type { Database } from "better-sqlite3";
import type { ProducerId } from "../../shared/ids.ts";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";
import type { PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { DeclaredLoss, LossLedger, LossTotal } from "./loss-ledger.ts";

const LEDGER_EXTENSION = "ledger";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS agent_loss (
  producer_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  from_offset INTEGER NOT NULL,
  entry INTEGER NOT NULL,
  reason TEXT NOT NULL,
  to_offset INTEGER NOT NULL,
  records INTEGER NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL,
  agent TEXT NOT NULL,
  declared_at INTEGER NOT NULL,
  PRIMARY KEY (producer_id, topic, partition, epoch, from_offset, entry, reason)
) WITHOUT ROWID;
`;

export type ListArgs = { readonly entriesMax: number };
export type TotalsArgs = { readonly producerId: string | undefined };

export const ledgerTable: LogExtension = { name: LEDGER_EXTENSION, schema: SCHEMA, copied: ["agent_loss"], prepare };

type Stored<Row extends { readonly producerId: bigint }> = Omit<Row, "producerId"> & { readonly producerId: string };

function prepare(database: Database): ExtensionMethods {
  const record = database.prepare<[Stored<DeclaredLoss>]>(
    `INSERT INTO agent_loss VALUES (@producerId, @topic, @partition, @epoch, @from, @entry, @reason, @to, @records,
     @since, @until, @agent, @declaredAt)
     ON CONFLICT DO UPDATE SET to_offset = MAX(to_offset, excluded.to_offset), records = MAX(records, excluded.records),
     until = MAX(until, excluded.until), agent = excluded.agent`,
  );
  const list = database.prepare<[number], Stored<DeclaredLoss>>(
    `SELECT agent, producer_id AS producerId, topic, partition, epoch, from_offset AS "from", to_offset AS "to", entry,
     records, reason, since, until, declared_at AS declaredAt
     FROM agent_loss ORDER BY declared_at DESC, from_offset DESC LIMIT ?`,
  );
  const totalsSql = (where: string): string =>
    `SELECT producer_id AS producerId, topic, partition, reason, SUM(records) AS records
     FROM agent_loss ${where} GROUP BY producer_id, topic, partition, reason`;
  const totals = database.prepare<[], Stored<LossTotal>>(totalsSql(""));
  const totalsOf = database.prepare<[string], Stored<LossTotal>>(totalsSql("WHERE producer_id = ?"));
  return {
    record: ({ producerId, ...loss }: DeclaredLoss) => {
      record.run({ ...loss, producerId: String(producerId) });
    },
    list: ({ entriesMax }: ListArgs): DeclaredLoss[] => list.all(entriesMax).map(withProducer),
    totals: ({ producerId }: TotalsArgs): LossTotal[] =>
      (producerId === undefined ? totals.all() : totalsOf.all(producerId)).map(withProducer),
  };
}

function withProducer<Row extends { readonly producerId: string }>(row: Row) {
  return { ...row, producerId: BigInt(row.producerId) };
}

export class LedgerTable implements LossLedger {
  readonly #log: Pick<PartitionedLog, "call" | "query">;

  constructor(log: Pick<PartitionedLog, "call" | "query">) {
    this.#log = log;
  }

  async record(loss: DeclaredLoss): Promise<void> {
    await this.#log.call([{ extension: LEDGER_EXTENSION, method: "record", args: loss }]);
  }

  async list(entriesMax: number): Promise<readonly DeclaredLoss[]> {
    const args: ListArgs = { entriesMax };
    return (await this.#log.query({ extension: LEDGER_EXTENSION, method: "list", args })) as DeclaredLoss[];
  }

  async totals(producerId?: ProducerId): Promise<readonly LossTotal[]> {
    const args: TotalsArgs = { producerId: producerId === undefined ? undefined : String(producerId) };
    return (await this.#log.query({ extension: LEDGER_EXTENSION, method: "totals", args })) as LossTotal[];
  }
}
