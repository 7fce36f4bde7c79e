/**
 * The rows of a table as far as they can be reached from its root, in the order of their keys; and leaves that no root
 * leads to any more, because an inner page above them is damaged.
 */
import { readBtreePage } from "./btree-page.ts";
import type { BtreePage, Cell, Payload } from "./btree-page.ts";
import type { PageFile } from "./page-file.ts";
import { readRecord } from "./record-format.ts";
import type { SqlValue } from "./record-format.ts";

export type Row = {
  /** Of a table that has one. */
  readonly rowid: bigint | undefined;
  readonly values: readonly SqlValue[];
};

type Bounds = { readonly above: bigint | undefined; readonly upTo: bigint | undefined };
const UNBOUND: Bounds = { above: undefined, upTo: undefined };
const LEAF_OF_TABLE = 13;
/** No tree is deeper; a damaged one may lead in circles. */
const DEPTH_MAX = 40;

export class TableWalk {
  readonly #file: PageFile;
  /** A bit a page: reached from a root. */
  readonly #seen: Uint8Array;
  /** Pages, cells and rows that could not be read so far. */
  damage = 0;

  constructor(file: PageFile) {
    this.#file = file;
    this.#seen = new Uint8Array((file.pageCount >> 3) + 1);
  }

  *rows(root: number): Generator<Row> {
    yield* this.#walk(root, undefined, UNBOUND, 0);
  }

  /**
   * Rows of tables' leaves that were not reached, page by page. What table they are of, they do not say, nor whether they
   * were deleted: the list of free pages may be as damaged as the rest.
   */
  *orphans(): Generator<Row> {
    for (let number = 1; number <= this.#file.pageCount; number++) {
      if (this.#isSeen(number)) continue;
      const page = this.#file.page(number);
      if (page?.[number === 1 ? 100 : 0] !== LEAF_OF_TABLE) continue;
      const parsed = readBtreePage(page, number, this.#file.usableBytes);
      if (parsed !== undefined) yield* this.#rowsOf(parsed, UNBOUND);
    }
  }

  *#walk(number: number, isTable: boolean | undefined, bounds: Bounds, depth: number): Generator<Row> {
    const bytes = this.#isSeen(number) || depth > DEPTH_MAX ? undefined : this.#file.page(number);
    const page = bytes === undefined ? undefined : readBtreePage(bytes, number, this.#file.usableBytes);
    if (page === undefined || (isTable !== undefined && page.isTable !== isTable)) {
      this.damage++;
      return;
    }
    // A leaf of other keys was led to by an older page: it is looked at for itself again.
    if (!page.isLeaf || page.cells.every((cell) => isWithin(cell?.rowid, bounds))) this.#see(number);
    if (page.isLeaf) return yield* this.#rowsOf(page, bounds);
    let { above } = bounds;
    for (const cell of page.cells) {
      if (cell?.child === undefined || !isWithin(cell.rowid, { above, upTo: bounds.upTo })) {
        this.damage++;
        continue;
      }
      yield* this.#walk(cell.child, page.isTable, { above, upTo: cell.rowid }, depth + 1);
      if (cell.payload !== undefined) yield* this.#row(cell);
      above = cell.rowid ?? above;
    }
    if (page.rightChild !== undefined) {
      yield* this.#walk(page.rightChild, page.isTable, { above, upTo: bounds.upTo }, depth + 1);
    }
  }

  /** Rowids rise within a page and stay within what the page above says: one that does not was changed. */
  *#rowsOf(page: BtreePage, bounds: Bounds): Generator<Row> {
    let { above } = bounds;
    for (const [index, cell] of page.cells.entries()) {
      const next = page.cells[index + 1]?.rowid;
      const isNextPlausible = next !== undefined && isWithin(next, { above, upTo: bounds.upTo });
      const isOutOfLine = cell?.rowid !== undefined && isNextPlausible && cell.rowid >= next;
      if (cell === undefined || isOutOfLine || !isWithin(cell.rowid, { above, upTo: bounds.upTo })) {
        this.damage++;
        continue;
      }
      yield* this.#row(cell);
      above = cell.rowid ?? above;
    }
  }

  *#row({ rowid, payload }: Cell): Generator<Row> {
    const whole = payload === undefined ? undefined : this.#whole(payload);
    const values = whole === undefined ? undefined : readRecord(whole);
    if (values === undefined) this.damage++;
    else yield { rowid, values };
  }

  #whole({ bytes, local, overflow }: Payload): Buffer | undefined {
    if (local.length === bytes) return local;
    const { usableBytes, pageCount } = this.#file;
    if (bytes > pageCount * usableBytes) return undefined;
    const parts = [local];
    let missing = bytes - local.length;
    for (let number = overflow; missing > 0;) {
      const page = this.#file.page(number);
      if (page === undefined) return undefined;
      const part = page.subarray(4, Math.min(usableBytes, 4 + missing));
      parts.push(part);
      missing -= part.length;
      number = page.readUInt32BE(0);
    }
    return Buffer.concat(parts, bytes);
  }

  #isSeen(number: number): boolean {
    return ((this.#seen[number >> 3] ?? 0) & (1 << (number & 7))) !== 0;
  }

  #see(number: number): void {
    const index = number >> 3;
    this.#seen[index] = (this.#seen[index] ?? 0) | (1 << (number & 7));
  }
}

function isWithin(rowid: bigint | undefined, { above, upTo }: Bounds): boolean {
  return rowid === undefined || ((above === undefined || rowid > above) && (upTo === undefined || rowid <= upTo));
}
