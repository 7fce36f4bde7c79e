/** A log with everything in it that damage may hit, as a kill leaves it: some of it in the WAL alone. */
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { encodeRecords } from "../../shared/batch/records.ts";
import { splitBatches } from "../../shared/batch/record-batch.ts";
import { loadCatalog } from "../../shared/log/salvage/log-catalog.ts";
import type { WorkerLog } from "../../shared/log/worker-log.ts";
import type { After } from "./clean-up.ts";
import { openLog } from "./open-log.ts";
import { tempDir } from "./temp-dir.ts";
import { waitUntil } from "./wait-until.ts";

export type Random = () => number;

/** Seeded: the same numbers again for the same seed. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export type Stored = { readonly topic: string; readonly partition: number; readonly offset: number };
export type Template = {
  readonly directory: string;
  /** By `topic/partition/offset`, each batch as it was written. */
  readonly batches: ReadonlyMap<string, Buffer>;
  /** By `topic/partition`. */
  readonly ends: ReadonlyMap<string, { readonly start: number; readonly end: number }>;
};

const TOPICS = { events: 3, large: 1 } as const;

/** `isKilled`: with a WAL; otherwise closed in order. */
export async function makeTemplate(t: After, { isKilled, rounds }: { isKilled: boolean; rounds: number }) {
  const directory = tempDir(t);
  const log = await openLog(t, directory);
  for (const [name, partitionCount] of Object.entries(TOPICS)) await log.createTopic({ name, partitionCount });
  const random = randomFrom(1);
  for (let round = 0; round < rounds; round++) {
    await appendSome(log, random, round);
    if (round === Math.floor(rounds / 2)) await log.trim(log.partition("events", 0), 20);
  }
  const template = await snapshot(log, directory, t, isKilled);
  return template;
}

async function appendSome(log: WorkerLog, random: Random, round: number): Promise<void> {
  const appends = Object.entries(TOPICS).flatMap(([topic, count]) =>
    Array.from({ length: count }, (_, partition) => {
      const bytesMax = topic === "large" ? 12_000 : 400;
      const records = Array.from({ length: 1 + Math.floor(random() * 4) }, (_each, index) => {
        const value = Buffer.alloc(1 + Math.floor(random() * bytesMax), `${topic} ${partition} ${round} ${index} `);
        return { timestamp: 1000 + round, key: Buffer.from(`k${round}`), value };
      });
      return log.append(log.partition(topic, partition), encodeRecords(records), "fsync");
    }),
  );
  await Promise.all([
    ...appends,
    log.call([{ extension: "test", method: "put", args: { name: `n${round}`, value: "v".repeat(50) } }]),
  ]);
}

async function snapshot(log: WorkerLog, directory: string, t: After, isKilled: boolean): Promise<Template> {
  const batches = new Map<string, Buffer>();
  const ends = new Map<string, { start: number; end: number }>();
  for (const { name, partitions } of log.topics.values()) {
    for (const at of partitions) {
      const { partition, logStartOffset: start, logEndOffset: end } = at;
      ends.set(`${name}/${partition}`, { start, end });
      const all = await log.read({ partition: at, offset: start, bytesMax: 1e9, atLeastOne: true });
      for (const batch of splitBatches(all)) {
        batches.set(`${name}/${partition}/${Number(batch.readBigInt64BE(0))}`, batch);
      }
    }
  }
  await waitUntil(
    () => loadCatalog(directory)?.copies.some(({ name, rows }) => name === "topic" && rows.length === 2),
    {
      what: "the second copy of the topics",
      deadlineMs: 10_000,
    },
  );
  const copy = tempDir(t);
  if (!isKilled) await log.close();
  for (const name of readdirSync(directory)) {
    if (name !== "lock.db" && !name.endsWith("-shm")) cpSync(path.join(directory, name), path.join(copy, name));
  }
  return { directory: copy, batches, ends };
}

export function copyTemplate(t: After, { directory }: Template): string {
  const copy = path.join(tempDir(t), "data");
  mkdirSync(copy);
  for (const name of readdirSync(directory)) cpSync(path.join(directory, name), path.join(copy, name));
  return copy;
}

const PAGE_BYTES = 1024;
const FLASH_PAGE_BYTES = 16_384;

/** What a bad card, a bad block or a bad hand makes of a file. Returns what was done. */
export function damage(directory: string, random: Random): string {
  const done: string[] = [];
  const count = 1 + Math.floor(random() * 3);
  for (let i = 0; i < count; i++) {
    const names = readdirSync(directory).filter((name) => name === "log.db" || name === "log.db-wal");
    const name = names[Math.floor(random() * names.length)];
    if (name === undefined) break;
    const file = path.join(directory, name);
    const kind = kinds[Math.floor(random() * kinds.length)] ?? flip;
    const bytes = readFileSync(file);
    if (bytes.length === 0) continue;
    done.push(`${name}: ${kind.name} ${kind(file, bytes, random)}`);
  }
  return done.join("; ");
}

type Kind = (file: string, bytes: Buffer, random: Random) => string;

const flip: Kind = (file, bytes, random) => {
  const places: number[] = [];
  for (let i = 0; i < 1 + random() * 8; i++) {
    const at = Math.floor(random() * bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
    places.push(at);
  }
  writeFileSync(file, bytes);
  return places.join(",");
};
const zeroPages: Kind = (file, bytes, random) => fillPages(file, bytes, random, { size: PAGE_BYTES, byte: () => 0 });
const garbagePages: Kind = (file, bytes, random) =>
  fillPages(file, bytes, random, { size: PAGE_BYTES, byte: () => Math.floor(random() * 256) });
const zeroFlashPage: Kind = (file, bytes, random) =>
  fillPages(file, bytes, random, { size: FLASH_PAGE_BYTES, byte: () => 0 });
const zeroHead: Kind = (file, bytes) => {
  bytes.fill(0, 0, PAGE_BYTES);
  writeFileSync(file, bytes);
  return "";
};
const cutTail: Kind = (file, bytes, random) => {
  const length = Math.floor(random() * bytes.length);
  truncateSync(file, length);
  return String(length);
};
const empty: Kind = (file) => {
  truncateSync(file, 0);
  return "";
};
const remove: Kind = (file) => {
  rmSync(file);
  return "";
};
const swapPages: Kind = (file, bytes, random) => {
  const pages = Math.floor(bytes.length / PAGE_BYTES);
  const from = Math.floor(random() * pages);
  const to = Math.floor(random() * pages);
  bytes.copy(bytes, to * PAGE_BYTES, from * PAGE_BYTES, (from + 1) * PAGE_BYTES);
  writeFileSync(file, bytes);
  return `${from} over ${to}`;
};

const kinds = [
  flip,
  flip,
  zeroPages,
  zeroPages,
  garbagePages,
  zeroFlashPage,
  zeroHead,
  cutTail,
  swapPages,
  empty,
  remove,
];

function fillPages(
  file: string,
  bytes: Buffer,
  random: Random,
  { size, byte }: { size: number; byte: () => number },
): string {
  const places: number[] = [];
  for (let i = 0; i < 1 + random() * 3; i++) {
    const page = Math.floor((random() * bytes.length) / size);
    for (let at = page * size; at < Math.min(bytes.length, (page + 1) * size); at++) bytes[at] = byte();
    places.push(page);
  }
  writeFileSync(file, bytes);
  return places.join(",");
}
