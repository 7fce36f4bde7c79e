/**
 * The loss ledger's tables in the agent's log database. Rows come and go in the same commit as what they tell of. Rows
 * that the hub has confirmed are kept for people, the oldest folded into totals, so that the table stays small.
 */
import type { Database } from "better-sqlite3";
import type { Offset, Partition } from "../../shared/ids.ts";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";
import type { LossReason } from "../../shared/uplink/frames.ts";
import type { LossRow } from "./loss-row.ts";

export const LEDGER_EXTENSION = "ledger";

export type FoldedTotal = {
  readonly topic: string;
  readonly partition: Partition;
  readonly reason: LossReason;
  readonly stored: number;
  readonly unstored: number;
};
/** Records of this producer that the hub has beyond those this log knows to be delivered; see LossLedger. */
export type HubAhead = { readonly topic: string; readonly partition: Partition; readonly records: number };

export type LedgerContents = {
  readonly rows: readonly LossRow[];
  readonly totals: readonly FoldedTotal[];
  readonly hubAhead: readonly HubAhead[];
};
/** A row as it was when it was found to be void. */
export type RemoveArgs = { readonly id: number; readonly to: Offset };
export type ConfirmArgs = { readonly id: number; readonly records: number };

const SCHEMA = `
CREATE TABLE IF NOT EXISTS loss (
  id INTEGER PRIMARY KEY,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  from_offset INTEGER NOT NULL,
  to_offset INTEGER NOT NULL,
  records INTEGER NOT NULL,
  reason TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER NOT NULL,
  state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS loss_total (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  reason TEXT NOT NULL,
  stored INTEGER NOT NULL,
  unstored INTEGER NOT NULL,
  PRIMARY KEY (topic, partition, reason)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hub_ahead (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  records INTEGER NOT NULL,
  PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
`;

const ROW_SQL = `SELECT id, topic, partition, epoch, from_offset AS "from", to_offset AS "to", records, reason, since,
  until, state FROM loss ORDER BY id`;

export const ledgerTable: LogExtension = {
  name: LEDGER_EXTENSION,
  schema: SCHEMA,
  upkeep: ["put", "remove", "confirm", "fold", "setHubAhead"],
  prepare,
};

function prepare(database: Database): ExtensionMethods {
  const put = database.prepare<[LossRow]>(
    `INSERT OR REPLACE INTO loss VALUES
     (@id, @topic, @partition, @epoch, @from, @to, @records, @reason, @since, @until, @state)`,
  );
  const remove = database.prepare<[number]>("DELETE FROM loss WHERE id = ?");
  const removeUpTo = database.prepare<[RemoveArgs]>("DELETE FROM loss WHERE id = @id AND to_offset <= @to");
  const confirm = database.prepare<[ConfirmArgs]>(
    "UPDATE loss SET state = 'confirmed' WHERE id = @id AND records = @records AND state = 'open'",
  );
  const fold = database.prepare<[number]>(
    `INSERT INTO loss_total
     SELECT topic, partition, reason, IIF(from_offset <= to_offset, records, 0), IIF(from_offset > to_offset, records, 0)
     FROM loss WHERE id = ? AND state = 'confirmed'
     ON CONFLICT DO UPDATE SET stored = stored + excluded.stored, unstored = unstored + excluded.unstored`,
  );
  const ahead = database.prepare<[HubAhead]>("INSERT OR REPLACE INTO hub_ahead VALUES (@topic, @partition, @records)");
  return {
    load: (): LedgerContents => ({
      rows: database.prepare<[], LossRow>(ROW_SQL).all(),
      totals: database
        .prepare<[], FoldedTotal>("SELECT topic, partition, reason, stored, unstored FROM loss_total")
        .all(),
      hubAhead: database.prepare<[], HubAhead>("SELECT topic, partition, records FROM hub_ahead").all(),
    }),
    put: (rows: readonly LossRow[]) => {
      for (const row of rows) put.run(row);
    },
    /** A row that goes on further by now, because more was trimmed, stays. */
    remove: (rows: readonly RemoveArgs[]) => {
      for (const row of rows) removeUpTo.run(row);
    },
    /** Whether the row is as the hub has it; it may have grown meanwhile. */
    confirm: (args: ConfirmArgs): boolean => confirm.run(args).changes > 0,
    fold: (ids: readonly number[]) => {
      for (const id of ids) {
        fold.run(id);
        remove.run(id);
      }
    },
    setHubAhead: (args: HubAhead) => {
      ahead.run(args);
    },
  };
}
