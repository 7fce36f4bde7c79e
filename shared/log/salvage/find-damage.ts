/**
 * Whether a log can be opened and worked with, looked at before anything is written to it. Cheap after an orderly end; after
 * any other, a small log is checked as a whole and of a large one all but the batches, which prove themselves when they are
 * read.
 */
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import path from "node:path";
import type { Database } from "better-sqlite3";
import { UNFLUSHED_COMMITS_MAX, openForReading } from "../open-database.ts";
import { LOG_FILE_NAME, PAGE_BYTES } from "../schema.ts";
import { CATALOG_FILE_NAME, readCatalogFrom } from "./log-catalog.ts";
import type { LogCatalog } from "./log-catalog.ts";
import { PageFile } from "./page-file.ts";

/** What a slow card reads in a few seconds. */
export const CHECKED_BYTES_MAX = 64 * 1024 * 1024;
/** A WAL without a frame in it. */
const WAL_HEADER_BYTES = 32;
/** Errors of SQLite that say nothing of the file: they are for whoever opens the log next. A file that is too short is not one. */
const NOT_OF_THE_FILE = /^SQLITE_(BUSY|LOCKED|FULL|IOERR(?!_SHORT_READ)|CANTOPEN|READONLY|NOMEM)/;
/** Of the database's header: its size in pages. */
const PAGE_COUNT_AT = 28;

type Options = {
  readonly open: (directory: string) => Database;
  readonly close: (directory: string, database: Database) => void;
  /** Hears how many whole commits lie behind a break in the WAL that a power cut may have left. */
  readonly onTorn: (commits: number) => void;
};

const forReading: Options = {
  open: openForReading,
  close: (_directory, database) => database.close(),
  onTorn: () => undefined,
};

/** Undefined for a log that is sound as far as this can tell, or that is not there at all. */
export function findDamage(
  directory: string,
  catalog: LogCatalog | undefined,
  options: Partial<Options> = {},
): string | undefined {
  const { open, close, onTorn } = { ...forReading, ...options };
  const sizes = sizesIn(directory);
  // A log that was never finished making has no catalog either.
  const hadLog = catalog !== undefined || existsSync(path.join(directory, CATALOG_FILE_NAME));
  if (sizes.database === undefined || sizes.database === 0) {
    const what = sizes.database === undefined ? "missing" : "empty";
    // SQLite would take the WAL for one that was left behind, and delete it.
    return hadLog || sizes.wal > WAL_HEADER_BYTES ? `${LOG_FILE_NAME} is ${what}` : undefined;
  }
  const isUnclean = sizes.wal > 0;
  const fileDamage = isUnclean ? findWalDamage(directory, onTorn) : findCut(directory, sizes.database);
  if (fileDamage !== undefined) return fileDamage;
  try {
    const database = open(directory);
    try {
      return (
        findSchemaDamage(database, catalog) ??
        findTextDamage(database) ??
        (isUnclean ? findTableDamage(database, sizes.database + sizes.wal) : undefined)
      );
    } finally {
      close(directory, database);
    }
  } catch (error) {
    const { code } = error as { code?: unknown };
    // The power went while the log was made; whoever opens it for writing takes that back.
    if (code === "SQLITE_READONLY_ROLLBACK") return undefined;
    if (typeof code !== "string" || !code.startsWith("SQLITE_") || NOT_OF_THE_FILE.test(code)) throw error;
    return `${code}: ${(error as Error).message}`;
  }
}

function sizesIn(directory: string): { readonly database: number | undefined; readonly wal: number } {
  const size = (name: string): number | undefined =>
    statSync(path.join(directory, name), { throwIfNoEntry: false })?.size;
  return { database: size(LOG_FILE_NAME), wal: size(`${LOG_FILE_NAME}-wal`) ?? 0 };
}

/**
 * SQLite takes the WAL up to the first frame that fails its check. A power cut leaves such a frame in what was not flushed
 * yet, with no more commits behind it than go without a flush; a damaged card leaves it anywhere.
 */
function findWalDamage(directory: string, onTorn: Options["onTorn"]): string | undefined {
  const file = new PageFile({
    database: path.join(directory, LOG_FILE_NAME),
    wal: path.join(directory, `${LOG_FILE_NAME}-wal`),
    pageBytes: PAGE_BYTES,
  });
  const commits = file.commitsBehindBreak;
  file.close();
  if (commits > 0 && commits <= UNFLUSHED_COMMITS_MAX) onTorn(commits);
  if (commits <= UNFLUSHED_COMMITS_MAX) return undefined;
  return `${LOG_FILE_NAME}-wal is damaged before its last ${commits} commits`;
}

/** After an orderly end the file has all the pages that it counts. */
function findCut(directory: string, bytes: number): string | undefined {
  // The power went while the log was made, before it had a WAL: SQLite goes by the journal, and takes back what there is.
  if (existsSync(path.join(directory, `${LOG_FILE_NAME}-journal`))) return undefined;
  const header = Buffer.alloc(PAGE_COUNT_AT + 4);
  const handle = openSync(path.join(directory, LOG_FILE_NAME), "r");
  try {
    readSync(handle, header, 0, header.length, 0);
  } finally {
    closeSync(handle);
  }
  const wanted = header.readUInt32BE(PAGE_COUNT_AT) * PAGE_BYTES;
  return bytes < wanted ? `${LOG_FILE_NAME} has ${bytes} bytes of ${wanted}` : undefined;
}

/** Tables only come; and one that moved, or reads otherwise, is not what was written. */
function findSchemaDamage(database: Database, catalog: LogCatalog | undefined): string | undefined {
  const found = readCatalogFrom(database, []);
  if (catalog === undefined || catalog.userVersion !== found.userVersion) return undefined;
  const byName = new Map(found.schema.map((each) => [each.name, each]));
  for (const { name, root, sql } of catalog.schema) {
    const now = byName.get(name);
    if (now !== undefined && (now.root !== root || now.sql !== sql)) return `the schema of ${name} has changed`;
    if (now === undefined && name === "batch") return "the schema has no batches";
  }
  return undefined;
}

/** Text that the program could not start with. */
function findTextDamage(database: Database): string | undefined {
  const hasTable = (name: string): boolean =>
    database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !== undefined;
  if (!hasTable("topic") || !hasTable("partition")) return undefined;
  const bad = database.prepare("SELECT 1 FROM topic WHERE NOT json_valid(config) LIMIT 1").get();
  if (bad !== undefined) return "a topic's configuration cannot be read";
  // Each topic has its partitions 0 … n - 1, each partition its topic.
  const odd = database
    .prepare(
      `SELECT 1 FROM partition GROUP BY topic HAVING min(partition) <> 0 OR max(partition) <> count(*) - 1
       UNION ALL SELECT 1 FROM partition WHERE topic NOT IN (SELECT name FROM topic)
       UNION ALL SELECT 1 FROM partition WHERE log_start_offset < 0 OR counted_end < 0 LIMIT 1`,
    )
    .get();
  return odd === undefined ? undefined : "topics and partitions do not agree";
}

function findTableDamage(database: Database, bytes: number): string | undefined {
  if (bytes <= CHECKED_BYTES_MAX) return quickCheck(database, "");
  for (const { name } of readCatalogFrom(database, []).schema.filter(({ type }) => type === "table")) {
    if (name === "batch") continue;
    const damage = quickCheck(database, `"${name}"`);
    if (damage !== undefined) return damage;
  }
  return undefined;
}

function quickCheck(database: Database, table: string): string | undefined {
  const of = table === "" ? "quick_check(1)" : `quick_check(${table})`;
  const [row] = database.pragma(of) as { readonly quick_check: string }[];
  return row === undefined || row.quick_check === "ok" ? undefined : row.quick_check;
}
