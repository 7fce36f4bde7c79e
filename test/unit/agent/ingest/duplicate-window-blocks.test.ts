import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import {
  BLOCKS_MIN,
  BLOCK_BYTES,
  GROUP_BLOCKS,
  DuplicateBlocks,
  PAYLOAD_BYTES,
  allBlocksCall,
  duplicateExtension,
  storedRows,
} from "../../../../agent/ingest/duplicate-window-blocks.ts";
import type { StoredBlock } from "../../../../agent/ingest/duplicate-window-blocks.ts";
import { readRow } from "../../../../agent/ingest/duplicate-window-row.ts";
import type { RowWriter } from "../../../../agent/ingest/duplicate-window-row.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { DirectExtensionLog } from "../../../support/direct-extension-log.ts";
import { tempDir } from "../../../support/temp-dir.ts";

type Keep = (row: RowWriter, deleted: number) => void;
const keepNothing: Keep = () => undefined;
/** Of a message that continues no run. */
const MESSAGE_BYTES = 7;

/** Blocks and the table they are stored in. */
class World {
  readonly table = new Map<number, Uint8Array>();
  blocks = new DuplicateBlocks([]);

  stored(): StoredBlock[] {
    return [...this.table].map(([slot, bytes]) => ({ slot, bytes }));
  }

  gather(commit: number, messages: number): void {
    for (let index = 0; index < messages; index++) this.blocks.writer(commit).message(1, 1 + 2 * index, commit);
  }

  take(numbers: readonly number[], { clients = 0, keep = keepNothing } = {}): readonly StoredBlock[] {
    return (this.blocks.take(numbers, clients, keep)?.args ?? []) as readonly StoredBlock[];
  }

  /** Returns which commits' blocks were freed. */
  settle(numbers: readonly number[], written: readonly StoredBlock[], isStored = true): number {
    if (isStored) for (const { slot, bytes } of written) this.table.set(slot, Uint8Array.from(bytes));
    return this.blocks.settle(numbers, isStored);
  }

  store(commit: number, messages: number, options: { clients?: number; keep?: Keep } = {}): number {
    this.gather(commit, messages);
    return this.settle([commit], this.take([commit], options));
  }

  /** Messages by the commit that stored them. */
  read(): ReadonlyMap<number, number> {
    const counts = new Map<number, number>();
    const ignore = (): void => undefined;
    for (const { bytes } of storedRows(this.stored())) {
      const message = (_ref: number, _id: number, commit: number): void => {
        counts.set(commit, (counts.get(commit) ?? 0) + 1);
      };
      readRow(bytes, { message, passed: ignore, client: ignore, kept: ignore });
    }
    return counts;
  }
}

test("duplicate window blocks: small rows share the last block, a row that does not fit begins a new one", () => {
  const world = new World();
  const perBlock = Math.floor(PAYLOAD_BYTES / MESSAGE_BYTES);
  for (let commit = 1; commit <= perBlock; commit++) world.store(commit, 1);
  assert.equal(world.table.size, 1);
  world.store(200, 5 * perBlock);
  assert.equal(world.table.size, 1 + 5);
  // What is left of the last one.
  world.store(201, 1);
  assert.equal(world.table.size, 6);
  world.blocks = new DuplicateBlocks(world.stored());
  world.store(202, 1);
  assert.equal(world.table.size, 7);
  const counts = world.read();
  assert.equal(counts.get(1), 1);
  assert.deepEqual(
    [200, 201, 202].map((commit) => counts.get(commit)),
    [5 * perBlock, 1, 1],
  );
  assert.ok([...world.table.values()].every((bytes) => bytes.length === BLOCK_BYTES));
});

test("duplicate window blocks: a commit has several numbers when it takes over what was held back", () => {
  const world = new World();
  world.gather(3, 1);
  world.gather(4, 1);
  world.gather(9, 1);
  const written = world.take([4, 3]);
  assert.deepEqual([3, 4, 5, 9].map(world.blocks.isUnsettled), [true, true, false, true]);
  world.settle([4, 3], written);
  assert.deepEqual([3, 4, 5, 9].map(world.blocks.isUnsettled), [false, false, false, true]);
  assert.deepEqual(
    [...world.read()],
    [
      [4, 1],
      [3, 1],
    ],
  );
  assert.deepEqual(world.take([5]), [], "nothing to remember");
});

test("duplicate window blocks: nothing of a commit that failed is stored with another", () => {
  for (const isOverlapping of [false, true]) {
    const world = new World();
    world.store(1, 3);
    world.gather(2, 3);
    const second = world.take([2]);
    if (!isOverlapping) world.settle([2], second, false);
    world.gather(3, 3);
    const third = world.take([3]);
    if (isOverlapping) world.settle([2], second, false);
    world.settle([3], third);
    world.store(4, 3);
    assert.deepEqual([...world.read().keys()], [1, 3, 4], `overlapping: ${isOverlapping}`);
  }
});

test("duplicate window blocks: the bound is kept by freeing the oldest in bunches, with what is kept of them", () => {
  const world = new World();
  const freed: number[] = [];
  for (let commit = 1; commit <= 2000; commit++) {
    const deleted = world.store(commit, 100, { keep: (row) => row.message(2, 7, commit) });
    if (deleted > 0) freed.push(deleted);
    assert.ok(world.blocks.blockCount <= BLOCKS_MIN + 4, `${world.blocks.blockCount} blocks after commit ${commit}`);
  }
  assert.ok(world.table.size <= BLOCKS_MIN + 8, "they are written over in place");
  assert.ok(freed.length > 100 && freed.length < 700, `freed ${freed.length} times`);
  assert.deepEqual(
    freed,
    freed.toSorted((a, b) => a - b),
  );
  const counts = world.read();
  assert.equal(counts.get(2000)! >= 100, true);
  // The next run goes on where this one stopped.
  world.blocks = new DuplicateBlocks(world.stored());
  for (let commit = 2001; commit <= 2200; commit++) world.store(commit, 100);
  assert.ok(world.table.size <= BLOCKS_MIN + 8, `${world.table.size} blocks`);
  assert.equal(world.read().get(2200), 100);
});

test("duplicate window blocks: many clients have more blocks", () => {
  const world = new World();
  for (let commit = 1; commit <= 1000; commit++) world.store(commit, 100, { clients: 1000 });
  assert.ok(world.blocks.blockCount > 200 && world.blocks.blockCount < 300, `${world.blocks.blockCount} blocks`);
});

test("duplicate window blocks: while blocks are being freed no others are; a commit that failed frees none", () => {
  const world = new World();
  for (let commit = 1; commit <= BLOCKS_MIN; commit++) world.store(commit, 100);
  world.gather(100, 200);
  assert.equal(world.settle([100], world.take([100])), 0);
  const asked: number[] = [];
  const keep: Keep = (_row, deleted) => void asked.push(deleted);
  world.gather(101, 100);
  world.gather(102, 100);
  const [first, second] = [world.take([101], { keep }), world.take([102], { keep })];
  assert.equal(asked.length, 1);
  assert.equal(world.settle([101], first, false), 0);
  assert.equal(world.settle([102], second), 0);
  assert.ok(world.store(103, 100, { keep }) > 1);
  assert.equal(asked.length, 2);
});

test("duplicate window blocks: what is kept of silent clients raises the bound, so that it is not copied all the time", () => {
  const world = new World();
  const silentBytes = 2 * BLOCKS_MIN * PAYLOAD_BYTES;
  let copiedBytes = 0;
  let silentIn = 1;
  const writeSilent = (row: RowWriter): void => {
    for (let index = 0; index < silentBytes / MESSAGE_BYTES; index++) row.message(2, 1 + 2 * index, 0);
  };
  writeSilent(world.blocks.writer(1));
  for (let commit = 1; commit <= 2000; commit++) {
    world.store(commit, 100, {
      keep: (row, deleted) => {
        if (silentIn > deleted) return;
        writeSilent(row);
        silentIn = commit;
        copiedBytes += silentBytes;
      },
    });
    assert.ok(world.blocks.blockCount < 7.5 * BLOCKS_MIN, `${world.blocks.blockCount} blocks`);
  }
  const ownBytes = 2000 * 100 * MESSAGE_BYTES;
  assert.ok(copiedBytes < 1.2 * ownBytes, `${copiedBytes} bytes copied for ${ownBytes}`);
});

test("duplicate window blocks: what continues a block that is gone is left out, what begins after it is not", () => {
  const world = new World();
  world.store(1, 300);
  world.store(2, 1);
  const slots = [...world.table.keys()];
  assert.equal(slots.length, 3);
  for (const slot of slots.slice(0, 2)) {
    world.table.delete(slot);
    assert.deepEqual([...world.read()], [[2, 1]]);
  }
});

test("duplicate window blocks: stored with the transaction, written over, read back", async (t) => {
  const log = new DirectExtensionLog(path.join(tempDir(t), "log.db"), [duplicateExtension]);
  onCleanUp(t, () => log.close());
  const put = (blocks: readonly (readonly [slot: number, fill: number])[]) => {
    const args = blocks.map(([slot, fill]) => ({ slot, bytes: new Uint8Array(BLOCK_BYTES).fill(fill) }));
    return log.call([{ extension: "duplicates", method: "put", args }]);
  };
  await put([
    [1, 11],
    [2, 12],
  ]);
  await put([
    [1, 13],
    [GROUP_BLOCKS, 14],
  ]);
  const stored = (await log.query(allBlocksCall)) as StoredBlock[];
  assert.deepEqual(
    stored.map(({ slot }) => slot),
    Array.from({ length: 2 * GROUP_BLOCKS }, (_, slot) => slot),
    "made in groups",
  );
  assert.ok(stored.every(({ bytes }) => bytes.length === BLOCK_BYTES));
  const written = stored.filter(({ bytes }) => bytes[0] !== 0).map(({ slot, bytes }) => [slot, bytes[0]]);
  assert.deepEqual(written, [
    [1, 13],
    [2, 12],
    [GROUP_BLOCKS, 14],
  ]);
  assert.deepEqual(storedRows(stored.filter(({ bytes }) => bytes[0] === 0)), []);
});

test("duplicate window blocks: those that were never written are used before there are more", () => {
  const empty = Array.from({ length: GROUP_BLOCKS }, (_, slot) => ({ slot, bytes: new Uint8Array(BLOCK_BYTES) }));
  const world = new World();
  world.blocks = new DuplicateBlocks(empty);
  for (let commit = 1; commit <= GROUP_BLOCKS; commit++) world.store(commit, 100);
  assert.deepEqual(
    [...world.table.keys()].toSorted((a, b) => a - b),
    empty.map(({ slot }) => slot),
  );
});
