/** The loss ledger in the hub's log database. */
import type { Database } from "better-sqlite3";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";
import type { PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { Loss, LossLedger } from "./loss-ledger.ts";

const EXTENSION = "ledger";

type Row = Omit<Loss, "producer"> & { readonly producer: string };

export const ledgerTable: LogExtension = {
  name: EXTENSION,
  schema: `CREATE TABLE IF NOT EXISTS loss (
    producer TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    from_offset INTEGER NOT NULL,
    to_offset INTEGER NOT NULL,
    reason TEXT NOT NULL,
    agent TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (producer, topic, partition, epoch, from_offset)
  ) WITHOUT ROWID;`,
  prepare,
};

function prepare(database: Database): ExtensionMethods {
  const insert = database.prepare<[string, string, number, number, number, number, string, string, number]>(
    "INSERT OR IGNORE INTO loss VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
  );
  const all = database.prepare<[], Row>(
    `SELECT agent, producer, topic, partition, epoch, from_offset AS "from", to_offset AS "to", reason, at
     FROM loss ORDER BY at`,
  );
  return {
    record: ({ producer, topic, partition, epoch, from, to, reason, agent, at }: Loss) => {
      insert.run(String(producer), topic, partition, epoch, from, to, reason, agent, at);
    },
    all: () => all.all(),
  };
}

export class LedgerTable implements LossLedger {
  readonly #log: Pick<PartitionedLog, "call" | "query">;

  constructor(log: Pick<PartitionedLog, "call" | "query">) {
    this.#log = log;
  }

  async record(loss: Loss): Promise<void> {
    await this.#log.call([{ extension: EXTENSION, method: "record", args: loss }]);
  }

  async list(): Promise<readonly Loss[]> {
    const rows = (await this.#log.query({ extension: EXTENSION, method: "all", args: undefined })) as Row[];
    return rows.map(({ producer, ...loss }) => ({ ...loss, producer: BigInt(producer) }));
  }
}
