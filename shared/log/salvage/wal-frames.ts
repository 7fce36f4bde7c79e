/**
 * Which pages a WAL holds, read without SQLite, which forgets everything behind the first frame that fails its check.
 *
 *   header   magic 4 | version 4 | page size 4 | sequence 4 | salt 8 | checksum 8
 *   frame    page 4 | pages of the database, if it ends a commit 4 | salt 8 | checksum 8 | the page
 *
 * A frame's checksum goes on from that of the frame before it, which stands in that frame's header. So a frame behind a
 * damaged one can be checked still, and counts if a commit follows it. Frames with another salt are of an earlier round
 * through the file. Numbers are big-endian; the low bit of the magic says in which order the checksum takes words.
 * Source: "WAL Format" in SQLite's file format.
 */
import type { ByteSource } from "./byte-source.ts";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC_LITTLE_ENDIAN = 0x377f0682;
const CHECKED_HEADER_BYTES = 24;
const CHECKED_FRAME_HEADER_BYTES = 8;

type Sum = readonly [number, number];
type Frame = {
  readonly page: number;
  readonly commitPages: number;
  readonly salt: bigint;
  readonly sum: Sum;
  readonly isSound: boolean;
};

export type WalPages = {
  /** By page number, where in the file its newest committed content is. */
  readonly places: ReadonlyMap<number, number>;
  /** Of the database after the last commit; undefined when the WAL holds no commit. */
  readonly pageCount: number | undefined;
  /**
   * Commits behind the one with the first frame that fails its check: SQLite by itself would drop them without a word. That
   * one is not counted: a power cut while a commit is written leaves any part of it.
   */
  readonly commitsBehindBreak: number;
};

export function walPageBytes(wal: ByteSource): number | undefined {
  const header = wal.read(0, HEADER_BYTES);
  return header !== undefined && isSoundHeader(header) ? header.readUInt32BE(8) : undefined;
}

export function readWal(wal: ByteSource, pageBytes: number): WalPages {
  const header = wal.read(0, HEADER_BYTES);
  const isKnown = header !== undefined && isSoundHeader(header) && header.readUInt32BE(8) === pageBytes;
  const isBigEndian = isKnown && header.readUInt32BE(0) !== MAGIC_LITTLE_ENDIAN;
  let salt = isKnown ? header.readBigUInt64BE(16) : undefined;
  let sum: Sum | undefined = isKnown ? sumAt(header, 24) : undefined;
  const places = new Map<number, number>();
  let uncommitted: [page: number, at: number][] = [];
  let pageCount: number | undefined;
  let hasBreak = !isKnown;
  /** Since a frame failed, the commit that it belongs to has not ended. */
  let isTorn = false;
  let commitsBehindBreak = 0;
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  for (let at = HEADER_BYTES; at + frameBytes <= wal.bytes; at += frameBytes) {
    const bytes = wal.read(at, frameBytes);
    const frame = bytes === undefined ? undefined : parseFrame(bytes, sum, isBigEndian);
    sum = frame?.sum;
    if (frame === undefined || !frame.isSound || (salt !== undefined && frame.salt !== salt)) {
      isTorn ||= !hasBreak && (frame === undefined || frame.salt !== salt || frame.commitPages === 0);
      hasBreak = true;
      continue;
    }
    // The WAL's own header is damaged: the frames at its beginning are of the newest round.
    salt ??= frame.salt;
    uncommitted.push([frame.page, at + FRAME_HEADER_BYTES]);
    if (frame.commitPages === 0) continue;
    for (const [page, place] of uncommitted) places.set(page, place);
    uncommitted = [];
    pageCount = frame.commitPages;
    if (hasBreak && !isTorn) commitsBehindBreak++;
    isTorn = false;
  }
  return { places, pageCount, commitsBehindBreak };
}

function parseFrame(bytes: Buffer, before: Sum | undefined, isBigEndian: boolean): Frame {
  const sum = sumAt(bytes, 16);
  const page = bytes.readUInt32BE(0);
  let isSound = false;
  if (before !== undefined && page > 0) {
    const head = checksum(bytes.subarray(0, CHECKED_FRAME_HEADER_BYTES), before, isBigEndian);
    const [first, second] = checksum(bytes.subarray(FRAME_HEADER_BYTES), head, isBigEndian);
    isSound = first === sum[0] && second === sum[1];
  }
  return { page, commitPages: bytes.readUInt32BE(4), salt: bytes.readBigUInt64BE(8), sum, isSound };
}

function isSoundHeader(header: Buffer): boolean {
  const magic = header.readUInt32BE(0);
  // The low bit is the order of the bytes.
  if (magic - (magic % 2) !== MAGIC_LITTLE_ENDIAN) return false;
  const [first, second] = checksum(header.subarray(0, CHECKED_HEADER_BYTES), [0, 0], magic !== MAGIC_LITTLE_ENDIAN);
  const sum = sumAt(header, 24);
  return first === sum[0] && second === sum[1];
}

function sumAt(bytes: Buffer, at: number): Sum {
  return [bytes.readUInt32BE(at), bytes.readUInt32BE(at + 4)];
}

function checksum(bytes: Buffer, [first, second]: Sum, isBigEndian: boolean): Sum {
  let a = first;
  let b = second;
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    a = (a + (isBigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at)) + b) >>> 0;
    b = (b + (isBigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4)) + a) >>> 0;
  }
  return [a, b];
}
