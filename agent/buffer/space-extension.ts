/**
 * The size of the log's database, asked of SQLite itself. `max_page_count` is the last line of the cap: beyond it nothing
 * is stored, but deleting goes on, because freed pages are used again; a file system that is full would refuse both.
 */
import type { Database } from "better-sqlite3";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";

export const SPACE_EXTENSION = "space";

export type DatabaseSize = {
  /** Of the file; it never shrinks. */
  readonly fileBytes: number;
  /** Of them, in pages that are in use. */
  readonly usedBytes: number;
};
export type LimitArgs = { readonly bytesMax: number };

export const spaceExtension: LogExtension = { name: SPACE_EXTENSION, schema: "", upkeep: ["limit"], prepare };

function prepare(database: Database): ExtensionMethods {
  const figure = (name: string): number => Number(database.pragma(name, { simple: true }));
  const pageBytes = figure("page_size");
  return {
    size: (): DatabaseSize => {
      const pages = figure("page_count");
      return { fileBytes: pages * pageBytes, usedBytes: (pages - figure("freelist_count")) * pageBytes };
    },
    /** A file that is larger already stays as it is, and does not grow. */
    limit: ({ bytesMax }: LimitArgs) => {
      figure(`max_page_count = ${Math.max(1, Math.floor(bytesMax / pageBytes))}`);
    },
  };
}
