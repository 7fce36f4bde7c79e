/** The journal that power.c writes, entry by entry, and the notes that the test puts between them. */
import { appendFileSync, readFileSync } from "node:fs";
import type { Note } from "./witness.ts";

const HEADER_BYTES = 24;
const NOTE = 100;
const kinds = {
  1: "write",
  2: "truncate",
  3: "create",
  4: "rename",
  5: "unlink",
  6: "mkdir",
  7: "rmdir",
  8: "sync-begin",
  9: "sync-end",
  10: "sync-lost",
  [NOTE]: "note",
} as const;
type Kind = (typeof kinds)[keyof typeof kinds];

export type Entry = {
  readonly index: number;
  readonly kind: Kind;
  /** Below the watched directory. */
  readonly path: string;
  /** Of a write; the new size at a truncation; 1 at an fdatasync. */
  readonly offset: number;
  /** Pairs the beginning of a flush with its end. */
  readonly flush: bigint;
  /** What was written; the new name at a renaming; a note's JSON. */
  readonly data: Buffer;
};

/**
 * Appends one note, in the order of the changes and flushes. A test notes an acknowledgement when it has received it, which
 * is after the flush that allowed it was journalled: what counts as acknowledged before a cut really was.
 */
export function appendNote(journal: string, note: object): void {
  const data = Buffer.from(JSON.stringify(note));
  const entry = Buffer.alloc(HEADER_BYTES + data.length);
  entry.writeUInt32LE(entry.length, 0);
  entry.writeUInt16LE(NOTE, 4);
  data.copy(entry, HEADER_BYTES);
  appendFileSync(journal, entry);
}

export const notesIn =
  (journal: string) =>
  (note: Note): void =>
    appendNote(journal, note);

/** All entries; one that a SIGKILL left incomplete at the end is left out. */
export function readJournal(file: string): Entry[] {
  const bytes = readFileSync(file);
  const entries: Entry[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > bytes.length) break;
    const number = bytes.readUInt16LE(at + 4);
    const kind = kinds[number as keyof typeof kinds];
    if (kind === undefined) throw new Error(`${file}: an entry of kind ${number} at byte ${at}`);
    const pathEnd = at + HEADER_BYTES + bytes.readUInt16LE(at + 6);
    entries.push({
      index: entries.length,
      kind,
      path: bytes.toString("utf8", at + HEADER_BYTES, pathEnd),
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      flush: bytes.readBigUInt64LE(at + 16),
      data: bytes.subarray(pathEnd, at + length),
    });
    at += length;
  }
  return entries;
}

/** Of an entry of kind "note". */
export function noteOf({ data }: Entry): Note {
  return JSON.parse(data.toString()) as Note;
}

/** What was noted up to an entry. */
export function notesBefore(entries: readonly Entry[], at: number): Note[] {
  const notes = entries.filter(({ kind, index }) => kind === "note" && index <= at);
  return notes.map(noteOf);
}
