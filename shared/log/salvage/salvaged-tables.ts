/** The tables of a damaged log, made again in the new one, and the rows of all but the batches. */
import type { Database } from "better-sqlite3";
import type { LogCatalog, SchemaObject } from "./log-catalog.ts";
import type { SqlValue } from "./record-format.ts";
import type { Row, TableWalk } from "./table-walk.ts";

/** The root of the schema itself. */
const SCHEMA_ROOT = 1;

type Column = { readonly name: string; readonly type: string; readonly pk: number };

/** A table of the new log, with where its rows were in the old one. */
export type SalvagedTable = {
  readonly name: string;
  readonly root: number | undefined;
  /** As they follow in a stored row. */
  readonly columns: readonly Column[];
  /** The column that is the rowid itself. */
  readonly rowidColumn: string | undefined;
};

/** What the log's own pages say of its schema; the catalog knows better where it knows at all. */
export function findSchema(walk: TableWalk, catalog: LogCatalog | undefined): SchemaObject[] {
  const objects = new Map<string, SchemaObject>((catalog?.schema ?? []).map((each) => [each.name, each]));
  for (const { values } of walk.rows(SCHEMA_ROOT)) {
    const [type, name, table, root, sql] = values;
    if ((type !== "table" && type !== "index") || typeof name !== "string" || name.startsWith("sqlite_")) continue;
    if (typeof table !== "string" || typeof root !== "bigint" || typeof sql !== "string") continue;
    if (!objects.has(name)) objects.set(name, { type, name, table, root: Number(root), sql });
  }
  return [...objects.values()];
}

/** Makes the tables; what damage has made of a statement is left out. */
export function makeTables(target: Database, schema: readonly SchemaObject[]): SalvagedTable[] {
  return schema.flatMap(({ type, name, root, sql }) => {
    if (type !== "table" || !isRun(target, sql)) return [];
    const info = target.pragma(`table_list("${name}")`) as readonly { readonly wr: number }[];
    return info[0] === undefined ? [] : [toTable(target, name, root, info[0].wr === 1)];
  });
}

export function makeIndexes(target: Database, schema: readonly SchemaObject[]): void {
  for (const { type, sql } of schema) if (type === "index") isRun(target, sql);
}

function isRun(target: Database, sql: string): boolean {
  try {
    target.exec(sql);
    return true;
  } catch {
    // Damaged, or already there: the program makes what it needs when it opens the log.
    return false;
  }
}

function toTable(target: Database, name: string, root: number, isWithoutRowid: boolean): SalvagedTable {
  const declared = target.pragma(`table_info("${name}")`) as readonly Column[];
  const keys = declared.filter(({ pk }) => pk > 0).toSorted((left, right) => left.pk - right.pk);
  const rest = declared.filter(({ pk }) => pk === 0);
  const [key] = keys;
  const isRowid = !isWithoutRowid && keys.length === 1 && key?.type.toUpperCase() === "INTEGER";
  return {
    name,
    root,
    columns: isWithoutRowid ? [...keys, ...rest] : declared,
    rowidColumn: isRowid ? key.name : undefined,
  };
}

/** Values by column, with the rowid in its place. Undefined for a row that cannot be of the table. */
export function namedValues(table: SalvagedTable, row: Row): Map<string, SqlValue> | undefined {
  const { columns, rowidColumn } = table;
  // Columns added later are missing in older rows.
  if (row.values.length > columns.length || row.values.length === 0) return undefined;
  const named = new Map<string, SqlValue>();
  for (const [index, value] of row.values.entries()) {
    const column = columns[index];
    if (column === undefined) return undefined;
    const actual = column.name === rowidColumn ? (row.rowid ?? null) : value;
    if (!fits(column.type, actual)) return undefined;
    named.set(column.name, actual);
  }
  return named;
}

function fits(type: string, value: SqlValue): boolean {
  if (value === null) return true;
  switch (type.toUpperCase()) {
    case "INTEGER":
      return typeof value === "bigint";
    case "TEXT":
      return typeof value === "string";
    case "BLOB":
      return Buffer.isBuffer(value);
    default:
      return true;
  }
}

/** Copies what can be read of a table; returns the number of rows. What breaks a rule of the table is left out. */
export function copyRows(target: Database, table: SalvagedTable, walk: TableWalk): number {
  if (table.root === undefined) return 0;
  let count = 0;
  for (const row of walk.rows(table.root)) {
    const named = namedValues(table, row);
    if (named === undefined) walk.damage++;
    else count += insert(target, table.name, [...named.keys()], [...named.values()]);
  }
  return count;
}

/** The second copies of rows that were not found. */
export function addCopies(target: Database, catalog: LogCatalog): number {
  let count = 0;
  for (const { name, columns, rows } of catalog.copies) {
    for (const row of rows) count += insert(target, name, columns, row);
  }
  return count;
}

function insert(target: Database, table: string, columns: readonly string[], values: readonly SqlValue[]): number {
  const names = columns.map((name) => `"${name}"`).join(", ");
  const marks = columns.map(() => "?").join(", ");
  try {
    return target.prepare(`INSERT OR IGNORE INTO "${table}" (${names}) VALUES (${marks})`).run(values).changes;
  } catch {
    // A table that could not be made, or a value that it refuses.
    return 0;
  }
}
