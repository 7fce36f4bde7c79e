/**
 * The disk below the watched directory, entry by entry, and what a power cut would leave of it.
 *
 * Names (made, renamed, taken away) have a life of their own. `ordered` is ext4 with data=ordered: they reach the disk in
 * their order, with any flush that changes a file's size, is no fdatasync, or is of a file just made. `strict` is no more
 * than POSIX promises: a name is on the disk when its directory was flushed, and before that, each may be there or not.
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Random } from "../../../bin/demo/random.ts";
import { DiskFile, noise } from "./disk-file.ts";
import type { Fate } from "./disk-file.ts";
import type { Entry } from "./journal.ts";

export type Order = "ordered" | "strict";
export type CutOptions = {
  readonly fate: Fate;
  /** Spoils the whole flash page around what was being written, beside it too. */
  readonly isPageSpoilt?: boolean;
};

type Node = DiskFile | "directory";
type NameChange = {
  readonly at: number;
  readonly kind: "create" | "mkdir" | "rename" | "unlink" | "rmdir";
  readonly path: string;
  readonly to?: string;
  readonly node: Node | undefined;
};
type Flush = { readonly node: Node | undefined; readonly path: string; readonly begun: number };

const FLASH_PAGE_BYTES = 16 * 1024;
/** Of SQLite: memory-mapped, and made anew. */
const SHARED_MEMORY = /-shm$/;
const SHARED_MEMORY_BYTES = 32 * 1024;

export class Disk {
  readonly #order: Order;
  /** As the program sees it. */
  readonly #live = new Map<string, Node>();
  /** As the disk surely has it. */
  readonly #names = new Map<string, Node>();
  #pending: NameChange[] = [];
  readonly #flushes = new Map<bigint, Flush>();

  constructor(order: Order) {
    this.#order = order;
  }

  /** What was there before the recording. */
  load(directory: string): void {
    for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
      const full = path.join(directory, name);
      const node = statSync(full).isDirectory() ? "directory" : new DiskFile(-1, readFileSync(full));
      this.#live.set(name, node);
      this.#names.set(name, node);
    }
  }

  /** `isLost`: the disk answers a flush without having made it. */
  apply(entry: Entry, isLost = false): void {
    const { index: at, kind, path: name, offset, data } = entry;
    if (SHARED_MEMORY.test(name)) return;
    switch (kind) {
      case "write":
        this.#file(entry).change({ at, type: "write", offset, data });
        return;
      case "truncate":
        this.#file(entry).change({ at, type: "truncate", size: offset });
        return;
      case "create":
        if (!this.#live.has(name)) this.#rename({ at, kind, path: name, node: new DiskFile(at) });
        return;
      case "mkdir":
        return this.#rename({ at, kind, path: name, node: "directory" });
      case "rename":
        return this.#rename({ at, kind, path: name, to: data.toString(), node: this.#live.get(name) });
      case "unlink":
      case "rmdir":
        return this.#rename({ at, kind, path: name, node: this.#live.get(name) });
      case "sync-begin":
        this.#flushes.set(entry.flush, { node: this.#live.get(name), path: name, begun: at });
        return;
      case "sync-end":
        if (!isLost) this.#flushed(entry);
        return;
      case "sync-lost":
      case "note":
        return;
    }
  }

  /** Writes what a cut here leaves into `target`, which is made. */
  cut(target: string, { fate, isPageSpoilt = false }: CutOptions, random: Random): void {
    mkdirSync(target, { recursive: true });
    const names = new Map(this.#names);
    for (const change of this.#keptNames(fate, random)) applyName(names, change);
    const spoilt = isPageSpoilt ? this.#inFlight() : undefined;
    for (const [name, node] of [...names].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
      const full = path.join(target, name);
      // A name whose directory did not reach the disk is lost with it.
      if (path.dirname(name) !== "." && names.get(path.dirname(name)) !== "directory") continue;
      if (node === "directory") mkdirSync(full);
      else writeFileSync(full, withSpoiltPage(node, node.after(fate, random), node === spoilt, random));
      if (fate === "garbage" && name.endsWith("log.db")) {
        writeFileSync(`${full}-shm`, noise(SHARED_MEMORY_BYTES, random));
      }
    }
  }

  #file({ kind, path: name }: Entry): DiskFile {
    const node = this.#live.get(name);
    if (node instanceof DiskFile) return node;
    throw new Error(`a ${kind} to ${name}, which was never made`);
  }

  #rename(change: NameChange): void {
    applyName(this.#live, change);
    this.#pending.push(change);
  }

  #flushed({ flush, offset: isDataOnly }: Entry): void {
    const { node, path: name, begun } = this.#flushes.get(flush)!;
    this.#flushes.delete(flush);
    if (node instanceof DiskFile) {
      const hasNewSize = node.flush(begun);
      if (this.#order === "strict") return;
      const isNew = this.#pending.some((change) => change.node === node && change.kind === "create");
      if (isDataOnly === 0 || hasNewSize || isNew) this.#settleNames(({ at }) => at < begun);
    } else if (this.#order === "ordered") {
      this.#settleNames(({ at }) => at < begun);
    } else {
      const parent = name === "" ? "." : name;
      const isBelow = (each: string | undefined): boolean => each !== undefined && path.dirname(each) === parent;
      this.#settleNames((change) => change.at < begun && (isBelow(change.path) || isBelow(change.to)));
    }
  }

  #settleNames(isSettled: (change: NameChange) => boolean): void {
    const rest: NameChange[] = [];
    for (const change of this.#pending) {
      if (isSettled(change)) applyName(this.#names, change);
      else rest.push(change);
    }
    this.#pending = rest;
  }

  /** Of the changes to names that may or may not have happened, those that have. */
  #keptNames(fate: Fate, random: Random): NameChange[] {
    if (fate === "kept") return this.#pending;
    if (fate === "dropped") return [];
    if (this.#order === "ordered")
      return this.#pending.slice(0, Math.floor(random.next() * (this.#pending.length + 1)));
    // What follows from a change that did not happen cannot have happened either.
    const lost = new Set<string>();
    return this.#pending.filter(({ path: name, to }) => {
      if (!lost.has(name) && (to === undefined || !lost.has(to)) && random.next() < 1 / 2) return true;
      lost.add(name);
      if (to !== undefined) lost.add(to);
      return false;
    });
  }

  /** The file whose changes are not flushed. */
  #inFlight(): DiskFile | undefined {
    const files = [...this.#names.values()].filter((node) => node instanceof DiskFile);
    return files.find((file) => file.lastWrite !== undefined);
  }
}

function applyName(names: Map<string, Node>, { kind, path: name, to, node }: NameChange): void {
  if (kind === "create" || kind === "mkdir") {
    if (node !== undefined) names.set(name, node);
    return;
  }
  names.delete(name);
  if (kind !== "rename" || to === undefined || node === undefined) return;
  names.set(to, node);
  for (const [each, below] of [...names]) {
    if (!each.startsWith(`${name}/`)) continue;
    names.delete(each);
    names.set(to + each.slice(name.length), below);
  }
}

function withSpoiltPage(file: DiskFile, content: Buffer, isSpoilt: boolean, random: Random): Buffer {
  const write = file.lastWrite;
  if (!isSpoilt || write === undefined) return content;
  const from = write.offset - (write.offset % FLASH_PAGE_BYTES);
  const length = Math.min(FLASH_PAGE_BYTES, content.length - from);
  if (length > 0) noise(length, random).copy(content, from);
  return content;
}
