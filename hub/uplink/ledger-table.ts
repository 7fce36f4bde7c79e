/**
 * The loss ledger as a table in the hub's log database. A gap is known by where it begins: an agent that declares it
 * again may have lost more behind it meanwhile, so the later end counts.
 */
import type { Database } from "better-sqlite3";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";
import type { PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { DeclaredLoss, LossLedger } from "./loss-ledger.ts";

const LEDGER_EXTENSION = "ledger";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS declared_loss (
  producer_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  from_offset INTEGER NOT NULL,
  reason TEXT NOT NULL,
  to_offset INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  agent TEXT NOT NULL,
  declared_at INTEGER NOT NULL,
  PRIMARY KEY (producer_id, topic, partition, from_offset, reason)
) WITHOUT ROWID;
`;

export type ListArgs = { readonly entriesMax: number };

export const ledgerTable: LogExtension = { name: LEDGER_EXTENSION, schema: SCHEMA, prepare };

type LossRow = Omit<DeclaredLoss, "producerId"> & { readonly producerId: string };

function prepare(database: Database): ExtensionMethods {
  const record = database.prepare<[string, string, number, number, string, number, number, string, number]>(
    `INSERT INTO declared_loss VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
     to_offset = MAX(to_offset, excluded.to_offset), epoch = excluded.epoch, agent = excluded.agent`,
  );
  const list = database.prepare<[number], LossRow>(
    `SELECT agent, producer_id AS producerId, topic, partition, epoch, from_offset AS "from", to_offset AS "to",
     reason, declared_at AS declaredAt FROM declared_loss ORDER BY declared_at DESC, from_offset DESC LIMIT ?`,
  );
  return {
    record: ({ producerId, topic, partition, from, reason, to, epoch, agent, declaredAt }: DeclaredLoss) => {
      record.run(String(producerId), topic, partition, from, reason, to, epoch, agent, declaredAt);
    },
    list: ({ entriesMax }: ListArgs) =>
      list.all(entriesMax).map((row) => ({ ...row, producerId: BigInt(row.producerId) })),
  };
}

export class LedgerTable implements LossLedger {
  readonly #log: Pick<PartitionedLog, "call" | "query">;

  constructor(log: Pick<PartitionedLog, "call" | "query">) {
    this.#log = log;
  }

  async record(loss: DeclaredLoss): Promise<void> {
    await this.#log.call([{ extension: LEDGER_EXTENSION, method: "record", args: loss }]);
  }

  /** The newest entries, at most `entriesMax`. */
  async list(entriesMax: number): Promise<readonly DeclaredLoss[]> {
    const args: ListArgs = { entriesMax };
    return (await this.#log.query({ extension: LEDGER_EXTENSION, method: "list", args })) as DeclaredLoss[];
  }
}
