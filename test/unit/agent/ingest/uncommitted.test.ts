import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultIngestLimits } from "../../../../agent/ingest/ingest-limits.ts";
import { Uncommitted } from "../../../../agent/ingest/uncommitted.ts";

const MIB = 1024 * 1024;

function start({ capBytes = 1024 * MIB } = {}) {
  const space = { usedBytes: 0, capBytes, capBytesMax: 1024 * MIB };
  const limits = { ...defaultIngestLimits, uncommittedBytesMax: 4 * MIB, uncommittedMessagesMax: 10 };
  return { space, uncommitted: new Uncommitted(limits, space) };
}

test("uncommitted: full at the limit, of bytes or of messages; nothing is taken at twice that", () => {
  const { uncommitted } = start();
  const seen = (): boolean[] => [uncommitted.isFull, uncommitted.isOverfull];
  uncommitted.add(4 * MIB - 1, 9);
  assert.deepEqual(seen(), [false, false]);
  uncommitted.add(0, 1);
  assert.deepEqual(seen(), [true, false]);
  uncommitted.add(0, 10);
  assert.deepEqual(seen(), [true, true]);
  uncommitted.remove(0, 15);
  uncommitted.add(1, 0);
  assert.deepEqual(seen(), [true, false]);
  uncommitted.add(4 * MIB, 0);
  assert.deepEqual(seen(), [true, true]);
  uncommitted.remove(uncommitted.bytes, uncommitted.messages);
  assert.deepEqual(seen(), [false, false]);
});

test("uncommitted: less when others have filled the disk, and never so little that nothing could come", () => {
  const { space, uncommitted } = start({ capBytes: 16 * MIB });
  uncommitted.add(MIB, 1);
  assert.equal(uncommitted.isFull, true);
  space.capBytes = 32 * MIB;
  uncommitted.followCap();
  assert.equal(uncommitted.isFull, false);
  space.capBytes = 0;
  uncommitted.followCap();
  uncommitted.remove(MIB, 1);
  assert.equal(uncommitted.isFull, false);
});
