/**
 * One page of a SQLite b-tree, read with suspicion.
 *
 *   kind 1 | first free block 2 | cells 2 | content start 2 | fragments 1 | (inner) right child 4 | cell pointers 2 each
 *
 *   kind 13  leaf of a table          payload bytes, rowid, payload
 *   kind  5  inner page of a table    child 4, largest rowid of the child
 *   kind 10  leaf of an index         payload bytes, payload              a table WITHOUT ROWID is an index of its rows
 *   kind  2  inner page of an index   child 4, payload bytes, payload     and its inner pages hold rows too
 *
 * Of a payload that does not fit, the rest is in a chain of overflow pages: next 4, content.
 * Source: "B-tree Pages" in SQLite's file format.
 */
import { readVarint } from "./record-format.ts";

const FILE_HEADER_BYTES = 100;
const LEAF_HEADER_BYTES = 8;
const INNER_HEADER_BYTES = 12;
const KINDS = new Map([
  [13, { isTable: true, isLeaf: true }],
  [5, { isTable: true, isLeaf: false }],
  [10, { isTable: false, isLeaf: true }],
  [2, { isTable: false, isLeaf: false }],
]);

export type Payload = {
  readonly bytes: number;
  readonly local: Buffer;
  /** First page of the rest; 0 when all is here. */
  readonly overflow: number;
};

export type Cell = {
  readonly child: number | undefined;
  /** Of a table; of an inner page's cell, the largest below its child. */
  readonly rowid: bigint | undefined;
  readonly payload: Payload | undefined;
};

export type BtreePage = {
  readonly isTable: boolean;
  readonly isLeaf: boolean;
  /** Undefined for one that cannot be. */
  readonly cells: readonly (Cell | undefined)[];
  /** Behind the last cell, on an inner page. */
  readonly rightChild: number | undefined;
};

/** Undefined for what cannot be a page of a b-tree. */
export function readBtreePage(page: Buffer, number: number, usableBytes: number): BtreePage | undefined {
  const start = number === 1 ? FILE_HEADER_BYTES : 0;
  const kind = KINDS.get(page[start] ?? 0);
  if (kind === undefined) return undefined;
  const pointers = start + (kind.isLeaf ? LEAF_HEADER_BYTES : INNER_HEADER_BYTES);
  // A damaged count must not hide the cells that are there; the others will not make sense.
  const count = Math.min(page.readUInt16BE(start + 3), Math.floor((usableBytes - pointers) / 2));
  const cells: (Cell | undefined)[] = [];
  for (let i = 0; i < count; i++) {
    const at = page.readUInt16BE(pointers + 2 * i);
    cells.push(at < pointers || at >= usableBytes ? undefined : readCell(page, at, kind, usableBytes));
  }
  return { ...kind, cells, rightChild: kind.isLeaf ? undefined : page.readUInt32BE(start + 8) };
}

function readCell(
  page: Buffer,
  at: number,
  { isTable, isLeaf }: { isTable: boolean; isLeaf: boolean },
  usableBytes: number,
): Cell | undefined {
  let next = at;
  let child: number | undefined;
  if (!isLeaf) {
    if (at + 4 > usableBytes) return undefined;
    child = page.readUInt32BE(at);
    next += 4;
  }
  if (isTable && !isLeaf) {
    const rowid = readVarint(page, next);
    return rowid === undefined ? undefined : { child, rowid: rowid.value, payload: undefined };
  }
  const bytes = readVarint(page, next);
  if (bytes === undefined || bytes.value < 0n || bytes.value > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  next = bytes.next;
  let rowid: bigint | undefined;
  if (isTable) {
    const read = readVarint(page, next);
    if (read === undefined) return undefined;
    rowid = read.value;
    next = read.next;
  }
  const payload = readPayload(page, next, Number(bytes.value), { isTable, usableBytes });
  return payload === undefined ? undefined : { child, rowid, payload };
}

function readPayload(
  page: Buffer,
  at: number,
  bytes: number,
  { isTable, usableBytes }: { isTable: boolean; usableBytes: number },
): Payload | undefined {
  const localMax = isTable ? usableBytes - 35 : Math.floor(((usableBytes - 12) * 64) / 255) - 23;
  if (bytes <= localMax) {
    return at + bytes > usableBytes ? undefined : { bytes, local: page.subarray(at, at + bytes), overflow: 0 };
  }
  const localMin = Math.floor(((usableBytes - 12) * 32) / 255) - 23;
  const wanted = localMin + ((bytes - localMin) % (usableBytes - 4));
  const end = at + (wanted <= localMax ? wanted : localMin);
  if (end + 4 > usableBytes) return undefined;
  return { bytes, local: page.subarray(at, end), overflow: page.readUInt32BE(end) };
}
