/**
 * A new log from what can be read of a damaged one. Nothing is taken over that does not prove itself or make sense, so
 * that whatever the damage is, the new log opens.
 */
import Database from "better-sqlite3";
import type { Offset } from "../../ids.ts";
import { LOG_FORMAT, LOG_SCHEMA } from "../schema.ts";
import { saveIncident } from "./incidents.ts";
import type { Incident, StoredIncident } from "./incidents.ts";
import type { LogCatalog } from "./log-catalog.ts";
import type { PageFile } from "./page-file.ts";
import { batchPlaces, repairTopics, reservePartitionIds, settleEnds } from "./repaired-places.ts";
import { RepairedProducers } from "./repaired-producers.ts";
import { SalvagedBatches } from "./salvaged-batches.ts";
import { addCopies, copyRows, findSchema, makeIndexes, makeTables } from "./salvaged-tables.ts";
import type { SalvagedTable } from "./salvaged-tables.ts";
import { TableWalk } from "./table-walk.ts";

const CACHE_KIB = 8 * 1024;
const USER_VERSION_AT = 60;
const MIN_PAGES = 100;
/** SQLite's own limit. */
const PAGES_MAX = 4_294_967_294;

export type BuildOptions = {
  readonly source: PageFile;
  readonly catalog: LogCatalog | undefined;
  /** Made, and removed first. */
  readonly target: string;
  /** Offsets that each partition leaves out, because consumers may have seen records at them that are lost. */
  readonly margin: Offset;
  /** Tables whose rows are not taken over. */
  readonly leftOut: readonly string[];
  /** Of the new log, less what it needs besides batches. Those that do not fit stay behind. */
  readonly bytesMax?: number;
  readonly note: Pick<Incident, "at" | "cause" | "quarantine">;
};

export function buildLog(options: BuildOptions): StoredIncident {
  const { source, catalog, target: file, margin, note, bytesMax } = options;
  const walk = new TableWalk(source);
  const target = openTarget(file, source.pageBytes);
  try {
    const schema = findSchema(walk, catalog);
    const tables = makeTables(target, schema);
    const hasAll = tables.some(({ name }) => name === "batch") && tables.some(({ name }) => name === "partition");
    // So that what follows has something to work on; it changes nothing that is there.
    target.exec(LOG_SCHEMA);
    const isProducerDamaged = copySmallTables(target, tables, walk, catalog);
    for (const { name } of tables) if (options.leftOut.includes(name)) target.exec(`DELETE FROM "${name}"`);
    repairTopics(target);
    const places = batchPlaces(target);
    const producers = new RepairedProducers();
    const batches = new SalvagedBatches({ target, places, onProduced: (produced) => producers.see(produced) });
    if (bytesMax !== undefined) limitPages(target, Math.max(MIN_PAGES, Math.floor(bytesMax / source.pageBytes)));
    batches.carryOver(walk, tables.find(({ name }) => name === "batch")?.root);
    limitPages(target, PAGES_MAX);
    const { lost, skipped } = settleEnds(target, margin);
    producers.repair(target, { places, isTableDamaged: isProducerDamaged });
    makeIndexes(target, schema);
    reservePartitionIds(target);
    target.pragma(`user_version = ${hasAll ? userVersion(source, catalog) : LOG_FORMAT}`);
    const { count, records, damaged, strays } = batches;
    const { at, cause, quarantine } = note;
    const counts = { batches: count, records, strays, damaged: damaged + walk.damage, hadRoom: batches.hadRoom };
    return saveIncident(target, { at, cause, quarantine, ...counts, lost, skipped });
  } finally {
    target.close();
  }
}

function limitPages(target: Database.Database, pages: number): void {
  target.pragma(`max_page_count = ${pages}`);
}

/** Whoever is interrupted builds it again: one flush at the end, by the caller. */
function openTarget(file: string, pageBytes: number): Database.Database {
  const target = new Database(file);
  target.pragma(`page_size = ${pageBytes}`);
  target.pragma("journal_mode = MEMORY");
  target.pragma("synchronous = OFF");
  target.pragma(`cache_size = -${CACHE_KIB}`);
  target.pragma("temp_store = MEMORY");
  return target;
}

/** Returns whether states of producers may be missing. */
function copySmallTables(
  target: Database.Database,
  tables: readonly SalvagedTable[],
  walk: TableWalk,
  catalog: LogCatalog | undefined,
): boolean {
  let isProducerDamaged = !tables.some(({ name }) => name === "producer");
  target.exec("BEGIN");
  for (const table of tables) {
    if (table.name === "batch") continue;
    const before = walk.damage;
    copyRows(target, table, walk);
    if (table.name === "producer" && walk.damage > before) isProducerDamaged = true;
  }
  if (catalog !== undefined && walk.damage > 0) addCopies(target, catalog);
  // A wrong one would have retention take records that are young. Without them all are as old as the new log.
  target.exec("DELETE FROM age_mark");
  target.exec("COMMIT");
  return isProducerDamaged;
}

function userVersion(source: PageFile, catalog: LogCatalog | undefined): number {
  if (catalog !== undefined) return catalog.userVersion;
  const stored = source.page(1)?.readUInt32BE(USER_VERSION_AT) ?? 0;
  return stored >= 1 && stored <= LOG_FORMAT ? stored : LOG_FORMAT;
}
