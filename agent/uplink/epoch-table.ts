/**
 * What the uplink must not forget, as tables in the agent's log database: the installation's producer id, where each
 * partition's epochs began, and how far each partition is settled. An epoch is on disk before its first batch is on the
 * wire, in one commit with the gap before it (agent/ledger/).
 *
 * Each lane has a place and epochs of its own. The lanes of a partition that is divided (windows.ts) go by numbers that
 * are made from the partition's; a division is on disk before anything of its new window is sent.
 *
 * Partitions go by their number in the log, which is never used twice: a topic that is deleted and made again has
 * nothing in common with the old one.
 */
import type { Database, Statement } from "better-sqlite3";
import type { Offset, Partition, ProducerEpoch, ProducerId } from "../../shared/ids.ts";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";
import type { EpochStart, LostRange } from "./resume.ts";
import { partitionIdOf } from "./windows.ts";
import type { Span, WindowStart } from "./windows.ts";

export const EPOCH_EXTENSION = "uplink";

export type OpenArgs = {
  /** Taken if the installation has none yet. */
  readonly producerId: ProducerId;
  /** The same, by slot from 1 on. */
  readonly sideProducers: readonly ProducerId[];
  readonly partitions: readonly { readonly id: number; readonly logEndOffset: Offset }[];
};
export type StoredPlace = {
  readonly laneId: number;
  readonly settled: Offset;
  readonly fence: Offset | null;
  readonly epochs: readonly EpochStart[];
};
export type OpenResult = {
  readonly producerId: ProducerId;
  readonly sideProducers: readonly ProducerId[];
  readonly places: readonly StoredPlace[];
  /** Oldest first; of divided partitions only. */
  readonly windows: readonly StoredWindow[];
};

/** A hub was heard: where the partition goes on. The fence goes. */
export type StoredWindow = WindowStart & { readonly partitionId: number };

export type AdoptChange = {
  readonly laneId: number;
  readonly topic: string;
  readonly partition: Partition;
  readonly settled: Offset;
  readonly newEpoch: EpochStart | undefined;
  readonly forgottenEpoch: ProducerEpoch | undefined;
  readonly gaps: readonly LostRange[];
  /** All that the lane's slot ever had to deliver. */
  readonly own: readonly Span[];
  /** The epoch that goes on after the gaps. */
  readonly epoch: ProducerEpoch;
  /** Of its partition from here on, when it was divided. */
  readonly windows: readonly WindowStart[] | undefined;
  /** Set for one lane of a partition when both sides begin to count anew. */
  readonly recount: Recount | undefined;
};

/** Of the whole partition: records that are settled, and what the hub has stored of this installation. */
export type Recount = {
  readonly settled: number;
  readonly hubRecords: number;
  /** The hub may have forgotten records, but none that this log counts as delivered. */
  readonly isForgetful: boolean;
};
export type SettleChange = { readonly laneId: number; readonly settled: Offset };
export type RenewArgs = {
  readonly producerId: ProducerId;
  readonly sideProducers: readonly ProducerId[];
  readonly changes: readonly AdoptChange[];
};

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
CREATE TABLE IF NOT EXISTS uplink_side_producer (slot INTEGER PRIMARY KEY, producer_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS uplink_window (
  partition_id INTEGER NOT NULL,
  number INTEGER NOT NULL,
  start INTEGER NOT NULL,
  PRIMARY KEY (partition_id, number)
) WITHOUT ROWID;
`;

export const epochTable: LogExtension = {
  name: EPOCH_EXTENSION,
  schema: SCHEMA,
  // How far a partition is settled may lag behind, as ever.
  copied: ["uplink_identity", "uplink_place", "uplink_epoch", "uplink_side_producer", "uplink_window"],
  upkeep: ["open", "adopt", "settle", "renew"],
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
      for (const { laneId, settled } of changes) tables.settle(laneId, settled);
    },
    renew: (args: RenewArgs) => tables.renew(args),
  };
}

type PlaceRow = { readonly laneId: number; readonly settled: Offset; readonly fence: Offset | null };
type EpochRow = EpochStart & { readonly laneId: number };

class UplinkTables {
  readonly #database: Database;
  readonly #save: Statement<[number, Offset]>;
  readonly #settle: Statement<[number, Offset]>;
  readonly #beginEpoch: Statement<[number, number, Offset, Offset]>;
  readonly #forgetEpoch: Statement<[number, number]>;
  readonly #forgetWindows: Statement<[number]>;
  readonly #addWindow: Statement<[number, number, Offset]>;

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
    this.#forgetWindows = database.prepare("DELETE FROM uplink_window WHERE partition_id = ?");
    this.#addWindow = database.prepare("INSERT INTO uplink_window VALUES (?, ?, ?)");
    this.#forgetEpoch = database.prepare("DELETE FROM uplink_epoch WHERE partition_id = ? AND epoch = ?");
  }

  open({ producerId, sideProducers, partitions }: OpenArgs): OpenResult {
    const database = this.#database;
    database.prepare("INSERT OR IGNORE INTO uplink_identity VALUES (1, ?)").run(String(producerId));
    const identity = database.prepare<[], { producer_id: string }>("SELECT producer_id FROM uplink_identity").get();
    const aside = database.prepare("INSERT OR IGNORE INTO uplink_side_producer VALUES (?, ?)");
    sideProducers.forEach((id, index) => aside.run(index + 1, String(id)));
    const ends = new Map(partitions.map(({ id, logEndOffset }) => [id, logEndOffset]));
    this.#forgetPartitionsExcept(ends);
    const fence = database.prepare<[Offset, Offset, number]>(
      "UPDATE uplink_place SET fence = MIN(COALESCE(fence, ?), ?) WHERE partition_id = ?",
    );
    for (const { laneId } of this.#places()) {
      const end = ends.get(partitionIdOf(laneId)) ?? 0;
      fence.run(end, end, laneId);
    }
    const epochs = database
      .prepare<[], EpochRow>(
        `SELECT partition_id AS laneId, epoch, first_offset AS firstOffset, previous_end AS previousEnd
         FROM uplink_epoch ORDER BY partition_id, epoch`,
      )
      .all();
    const epochsOf = Map.groupBy(epochs, (row) => row.laneId);
    const places = this.#places().map((place) => ({
      ...place,
      epochs: (epochsOf.get(place.laneId) ?? []).map(toStart),
    }));
    return {
      producerId: BigInt(identity?.producer_id ?? producerId),
      sideProducers: database
        .prepare<[], string>("SELECT producer_id FROM uplink_side_producer ORDER BY slot")
        .pluck()
        .all()
        .map(BigInt),
      places,
      windows: database
        .prepare<[], StoredWindow>(
          "SELECT partition_id AS partitionId, number, start FROM uplink_window ORDER BY partition_id, number",
        )
        .all(),
    };
  }

  adopt({ laneId, settled, newEpoch, forgottenEpoch, windows }: AdoptChange): void {
    this.#save.run(laneId, settled);
    if (newEpoch !== undefined) {
      this.#beginEpoch.run(laneId, newEpoch.epoch, newEpoch.firstOffset, newEpoch.previousEnd);
    }
    if (forgottenEpoch !== undefined) this.#forgetEpoch.run(laneId, forgottenEpoch);
    if (windows !== undefined) this.#divide(partitionIdOf(laneId), windows);
  }

  settle(laneId: number, settled: Offset): void {
    this.#settle.run(laneId, settled);
  }

  #divide(partitionId: number, windows: readonly WindowStart[]): void {
    this.#forgetWindows.run(partitionId);
    for (const { number, start } of windows) this.#addWindow.run(partitionId, number, start);
  }

  /** A new producer starts with epoch 0 everywhere, behind what the old one has delivered. */
  renew({ producerId, sideProducers, changes }: RenewArgs): void {
    for (const change of changes) this.adopt({ ...change, newEpoch: undefined, forgottenEpoch: undefined });
    this.#database.prepare("DELETE FROM uplink_epoch").run();
    this.#database.prepare("UPDATE uplink_identity SET producer_id = ?").run(String(producerId));
    const aside = this.#database.prepare("INSERT OR REPLACE INTO uplink_side_producer VALUES (?, ?)");
    sideProducers.forEach((id, index) => aside.run(index + 1, String(id)));
  }

  #places(): PlaceRow[] {
    return this.#database
      .prepare<[], PlaceRow>("SELECT partition_id AS laneId, settled, fence FROM uplink_place")
      .all();
  }

  #forgetPartitionsExcept(known: ReadonlyMap<number, unknown>): void {
    const place = this.#database.prepare<[number]>("DELETE FROM uplink_place WHERE partition_id = ?");
    const epochs = this.#database.prepare<[number]>("DELETE FROM uplink_epoch WHERE partition_id = ?");
    for (const { laneId } of this.#places()) {
      const partitionId = partitionIdOf(laneId);
      if (known.has(partitionId)) continue;
      place.run(laneId);
      epochs.run(laneId);
      this.#forgetWindows.run(partitionId);
    }
  }
}

function toStart({ epoch, firstOffset, previousEnd }: EpochRow): EpochStart {
  return { epoch, firstOffset, previousEnd };
}
