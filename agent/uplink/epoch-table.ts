/**
 * What the uplink must not forget, as tables in the agent's log database: the installation's producer id, where each
 * partition's epochs began, and how far each partition is settled. An epoch is on disk before its first batch is on the
 * wire, in one commit with the gap before it (agent/ledger/).
 *
 * Partitions go by their number in the log, which is never used twice: a topic that is deleted and made again has
 * nothing in common with the old one.
 */
import type { Database, Statement } from "better-sqlite3";
import type { Offset, Partition, ProducerEpoch, ProducerId } from "../../shared/ids.ts";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";
import type { EpochStart, LostRange } from "./resume.ts";

export const EPOCH_EXTENSION = "uplink";

export type OpenArgs = {
  /** Taken if the installation has none yet. */
  readonly producerId: ProducerId;
  readonly partitions: readonly { readonly id: number; readonly logEndOffset: Offset }[];
};
export type StoredPlace = {
  readonly partitionId: number;
  readonly settled: Offset;
  readonly fence: Offset | null;
  readonly epochs: readonly EpochStart[];
};
export type OpenResult = {
  readonly producerId: ProducerId;
  readonly places: readonly StoredPlace[];
};

/** A hub was heard: where the partition goes on. The fence goes. */
export type AdoptChange = {
  readonly partitionId: number;
  readonly topic: string;
  readonly partition: Partition;
  readonly settled: Offset;
  readonly newEpoch: EpochStart | undefined;
  readonly forgottenEpoch: ProducerEpoch | undefined;
  readonly gaps: readonly LostRange[];
  /** The epoch that goes on after the gaps. */
  readonly epoch: ProducerEpoch;
  /** Set when both sides begin to count anew: what the hub has stored of this producer. */
  readonly hubRecords: number | undefined;
};
export type SettleChange = { readonly partitionId: number; readonly settled: Offset };
export type RenewArgs = { readonly producerId: ProducerId; readonly changes: readonly AdoptChange[] };

const SCHEMA = `
CREATE TABLE IF NOT EXISTS uplink_identity (id INTEGER PRIMARY KEY CHECK (id = 1), producer_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS uplink_place (
  partition_id INTEGER PRIMARY KEY,
  settled INTEGER NOT NULL,
  fence INTEGER
);
CREATE TABLE IF NOT EXISTS uplink_epoch (
  partition_id INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  first_offset INTEGER NOT NULL,
  previous_end INTEGER NOT NULL,
  PRIMARY KEY (partition_id, epoch)
) WITHOUT ROWID;
`;

export const epochTable: LogExtension = {
  name: EPOCH_EXTENSION,
  schema: SCHEMA,
  // How far a partition is settled may lag behind, as ever.
  copied: ["uplink_identity", "uplink_place", "uplink_epoch"],
  prepare,
};

function prepare(database: Database): ExtensionMethods {
  const tables = new UplinkTables(database);
  return {
    open: (args: OpenArgs) => tables.open(args),
    adopt: (changes: readonly AdoptChange[]) => {
      for (const change of changes) tables.adopt(change);
    },
    settle: (changes: readonly SettleChange[]) => {
      for (const { partitionId, settled } of changes) tables.settle(partitionId, settled);
    },
    renew: (args: RenewArgs) => tables.renew(args),
  };
}

type PlaceRow = { readonly partitionId: number; readonly settled: Offset; readonly fence: Offset | null };
type EpochRow = EpochStart & { readonly partitionId: number };

class UplinkTables {
  readonly #database: Database;
  readonly #save: Statement<[number, Offset]>;
  readonly #settle: Statement<[number, Offset]>;
  readonly #beginEpoch: Statement<[number, number, Offset, Offset]>;
  readonly #forgetEpoch: Statement<[number, number]>;

  constructor(database: Database) {
    this.#database = database;
    this.#save = database.prepare(
      `INSERT INTO uplink_place (partition_id, settled, fence) VALUES (?, ?, NULL)
       ON CONFLICT DO UPDATE SET settled = excluded.settled, fence = NULL`,
    );
    this.#settle = database.prepare(
      `INSERT INTO uplink_place (partition_id, settled, fence) VALUES (?, ?, NULL)
       ON CONFLICT DO UPDATE SET settled = excluded.settled`,
    );
    this.#beginEpoch = database.prepare("INSERT OR REPLACE INTO uplink_epoch VALUES (?, ?, ?, ?)");
    this.#forgetEpoch = database.prepare("DELETE FROM uplink_epoch WHERE partition_id = ? AND epoch = ?");
  }

  open({ producerId, partitions }: OpenArgs): OpenResult {
    const database = this.#database;
    database.prepare("INSERT OR IGNORE INTO uplink_identity VALUES (1, ?)").run(String(producerId));
    const identity = database.prepare<[], { producer_id: string }>("SELECT producer_id FROM uplink_identity").get();
    const ends = new Map(partitions.map(({ id, logEndOffset }) => [id, logEndOffset]));
    this.#forgetPartitionsExcept(ends);
    const fence = database.prepare<[Offset, Offset, number]>(
      "UPDATE uplink_place SET fence = MIN(COALESCE(fence, ?), ?) WHERE partition_id = ?",
    );
    for (const [id, end] of ends) fence.run(end, end, id);
    const epochs = database
      .prepare<[], EpochRow>(
        `SELECT partition_id AS partitionId, epoch, first_offset AS firstOffset, previous_end AS previousEnd
         FROM uplink_epoch ORDER BY partition_id, epoch`,
      )
      .all();
    const epochsOf = Map.groupBy(epochs, (row) => row.partitionId);
    const places = this.#places().map((place) => ({
      ...place,
      epochs: (epochsOf.get(place.partitionId) ?? []).map(toStart),
    }));
    return { producerId: BigInt(identity?.producer_id ?? producerId), places };
  }

  adopt({ partitionId, settled, newEpoch, forgottenEpoch }: AdoptChange): void {
    this.#save.run(partitionId, settled);
    if (newEpoch !== undefined) {
      this.#beginEpoch.run(partitionId, newEpoch.epoch, newEpoch.firstOffset, newEpoch.previousEnd);
    }
    if (forgottenEpoch !== undefined) this.#forgetEpoch.run(partitionId, forgottenEpoch);
  }

  settle(partitionId: number, settled: Offset): void {
    this.#settle.run(partitionId, settled);
  }

  /** A new producer starts with epoch 0 everywhere, behind what the old one has delivered. */
  renew({ producerId, changes }: RenewArgs): void {
    for (const change of changes) this.adopt({ ...change, newEpoch: undefined, forgottenEpoch: undefined });
    this.#database.prepare("DELETE FROM uplink_epoch").run();
    this.#database.prepare("UPDATE uplink_identity SET producer_id = ?").run(String(producerId));
  }

  #places(): PlaceRow[] {
    return this.#database
      .prepare<[], PlaceRow>("SELECT partition_id AS partitionId, settled, fence FROM uplink_place")
      .all();
  }

  #forgetPartitionsExcept(known: ReadonlyMap<number, unknown>): void {
    const place = this.#database.prepare<[number]>("DELETE FROM uplink_place WHERE partition_id = ?");
    const epochs = this.#database.prepare<[number]>("DELETE FROM uplink_epoch WHERE partition_id = ?");
    for (const { partitionId } of this.#places()) {
      if (known.has(partitionId)) continue;
      place.run(partitionId);
      epochs.run(partitionId);
    }
  }
}

function toStart({ epoch, firstOffset, previousEnd }: EpochRow): EpochStart {
  return { epoch, firstOffset, previousEnd };
}
