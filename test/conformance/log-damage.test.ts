/**
 * A log whose files were damaged at random: it opens without a person, serves what was written and nothing else, has
 * everything whose pages are whole (in log.db itself), says what is missing, and takes new records at offsets that were never used.
 *
 * LOG_DAMAGE_ROUNDS runs more rounds, LOG_DAMAGE_SEED one again.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { suite, test } from "node:test";
import { splitBatches, stampOffset } from "../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../shared/batch/records.ts";
import { OFFSET_MAX } from "../../shared/log/schema.ts";
import { readBtreePage } from "../../shared/log/salvage/btree-page.ts";
import { PageFile } from "../../shared/log/salvage/page-file.ts";
import type { LogPartition } from "../../shared/log/partitioned-log.ts";
import type { WorkerLog } from "../../shared/log/worker-log.ts";
import { copyTemplate, damage, makeTemplate, randomFrom } from "../support/damaged-log.ts";
import type { Template } from "../support/damaged-log.ts";
import { openLog } from "../support/open-log.ts";
import { waitUntil } from "../support/wait-until.ts";

const ROUNDS = Number(process.env["LOG_DAMAGE_ROUNDS"] ?? 6);
const FIRST_SEED = Number(process.env["LOG_DAMAGE_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const PAGE_BYTES = 1024;
const TABLE_LEAF = 13;
const STARTS_MAX = 3;
/** Of hundreds. */
const PASSED_OVER_MAX = 3;

type Page = { readonly number: number; readonly bytes: Buffer };

function pageFile(directory: string): PageFile {
  const file = (name: string): string => path.join(directory, name);
  return new PageFile({ database: file("log.db"), wal: file("log.db-wal"), pageBytes: PAGE_BYTES });
}

/** By the batch's key, the pages it lies on. */
function pagesOfBatches(directory: string): Map<bigint, Page[]> {
  const file = pageFile(directory);
  const pages = new Map<bigint, Page[]>();
  const page = (number: number): Page => ({ number, bytes: Buffer.from(file.page(number) ?? Buffer.alloc(0)) });
  for (let number = 1; number <= file.pageCount; number++) {
    const bytes = file.page(number);
    if (bytes?.[number === 1 ? 100 : 0] !== TABLE_LEAF) continue;
    for (const cell of readBtreePage(bytes, number, PAGE_BYTES)?.cells ?? []) {
      if (cell?.rowid === undefined || cell.rowid < 2n ** 42n) continue;
      const chain = [page(number)];
      let missing = (cell.payload?.bytes ?? 0) - (cell.payload?.local.length ?? 0);
      for (let next = cell.payload?.overflow ?? 0; missing > 0;) {
        const overflow = page(next);
        chain.push(overflow);
        missing -= PAGE_BYTES - 4;
        next = overflow.bytes.readUInt32BE(0);
      }
      pages.set(cell.rowid, chain);
    }
  }
  file.close();
  return pages;
}

/** Keys of batches all of whose pages are as they were. */
function wholeBatches(directory: string, original: ReadonlyMap<bigint, readonly Page[]>): bigint[] {
  const file = pageFile(directory);
  const isWhole = ({ number, bytes }: Page): boolean => file.page(number)?.equals(bytes) === true;
  const whole = [...original].filter(([, pages]) => pages.every(isWhole)).map(([key]) => key);
  file.close();
  return whole;
}

async function readAll(log: WorkerLog, partition: LogPartition): Promise<Map<number, Buffer>> {
  const found = new Map<number, Buffer>();
  const { logStartOffset: offset } = partition;
  const all = await log.read({ partition, offset, bytesMax: 1e9, atLeastOne: true });
  for (const batch of splitBatches(all)) found.set(Number(batch.readBigInt64BE(0)), batch);
  return found;
}

suite("log: damage", () => {
  for (const isKilled of [true, false]) {
    test(`${isKilled ? "killed" : "closed"}, then damaged: it opens, serves only what was written, and loses nothing that is whole`, async (t) => {
      const template = await makeTemplate(t, { isKilled, rounds: 40 });
      const pages = pagesOfBatches(template.directory);
      for (let round = 0; round < ROUNDS; round++) await damageOnce(t, { template, pages, seed: FIRST_SEED + round });
    });
  }
});

async function damageOnce(
  t: Parameters<typeof copyTemplate>[0],
  { template, pages, seed }: { template: Template; pages: ReadonlyMap<bigint, readonly Page[]>; seed: number },
): Promise<void> {
  const directory = copyTemplate(t, template);
  const done = damage(directory, randomFrom(seed));
  const context = `LOG_DAMAGE_SEED=${seed}: ${done}`;
  // What a damaged WAL still holds cannot always be told from what a power cut left: there, no more is asked than for SQLite.
  const whole = done.includes("log.db-wal") ? [] : wholeBatches(directory, pages);
  try {
    const written = new Map(template.batches);
    await mending(() => openAndCheck(t, { directory, template, written, whole }));
    // A page in the place of another counts for a partition that it is not of: its size does not come out even.
    await mending(() => trimAll(t, directory, { isEven: !done.includes("swapPages") }));
  } catch (error) {
    throw new Error(`${context}\n${(error as Error).stack ?? ""}`, { cause: error });
  }
}

/** What SQLite finds out only while it works ends the program; its next start must mend it. */
async function mending(work: () => Promise<void>): Promise<void> {
  for (let start = 1; start < STARTS_MAX; start++) {
    try {
      return await work();
    } catch (error) {
      if ((error as { code?: string }).code !== "LOG_CORRUPT") throw error;
    }
  }
  await work();
}

async function openAndCheck(
  t: Parameters<typeof copyTemplate>[0],
  parts: { directory: string; template: Template; written: Map<string, Buffer>; whole: readonly bigint[] },
): Promise<void> {
  const { directory, template, written, whole } = parts;
  const passed: { readonly id: number; readonly from: number; readonly to: number }[] = [];
  const log = await openLog(t, directory, {
    onDamage: ({ partition: { id }, from, to }) => passed.push({ id, from, to }),
  });
  try {
    const found = new Map<bigint, number>();
    for (const partition of [...log.topics.values()].flatMap((topic) => topic.partitions)) {
      for (const [offset, batch] of await readAll(log, partition)) {
        const name = `${partition.topic}/${partition.partition}`;
        assert.deepEqual(batch, written.get(`${name}/${offset}`), `other bytes at ${name}/${offset}`);
        found.set((BigInt(partition.id) << 42n) | BigInt(offset), batch.length);
      }
    }
    const missing = whole
      .filter((key) => !found.has(key))
      .map((key) => ({ id: Number(key >> 42n), offset: Number(key & BigInt(OFFSET_MAX)) }));
    // A sound batch between damaged ones may be passed over with them; then it is told of with them.
    const isTold = ({ id, offset }: { id: number; offset: number }): boolean =>
      passed.some((range) => range.id === id && range.from <= offset && offset <= range.to);
    const silent = missing.filter((each) => !isTold(each)).map(({ id, offset }) => `${id}/${offset}`);
    assert.deepEqual(silent, [], "whole batches are missing");
    assert.ok(missing.length <= PASSED_OVER_MAX, `${missing.length} whole batches are passed over`);
    await appendToEach(log, template, written);
  } finally {
    await log.close();
  }
}

/** New records go where no record ever was, as far as the log can know it. */
async function appendToEach(log: WorkerLog, template: Template, written: Map<string, Buffer>): Promise<void> {
  for (const partition of [...log.topics.values()].flatMap((topic) => topic.partitions)) {
    const name = `${partition.topic}/${partition.partition}`;
    assert.ok(template.ends.has(name), `${name} was never there`);
    const { logEndOffset } = partition;
    const batch = encodeRecords([{ timestamp: 1, key: null, value: Buffer.from("after") }]);
    const { baseOffset } = await log.append(partition, batch, "fsync");
    assert.equal(baseOffset, logEndOffset);
    stampOffset(batch, baseOffset);
    written.set(`${name}/${baseOffset}`, batch);
    const read = await log.read({ partition, offset: baseOffset, bytesMax: 1e6, atLeastOne: true });
    assert.deepEqual(read, batch);
  }
}

/** Deleting goes over every page that is left. */
async function trimAll(
  t: Parameters<typeof copyTemplate>[0],
  directory: string,
  { isEven }: { readonly isEven: boolean },
): Promise<void> {
  const log = await openLog(t, directory);
  try {
    for (const partition of [...log.topics.values()].flatMap((topic) => topic.partitions)) {
      await log.trim(partition, partition.logEndOffset);
      if (!isEven) continue;
      const isSwept = waitUntil(() => partition.bytes === 0, { what: "the sweep", deadlineMs: 5000 });
      await Promise.race([isSwept, new Promise((_, reject) => log.onFatal(reject))]);
    }
  } finally {
    await log.close();
  }
}
