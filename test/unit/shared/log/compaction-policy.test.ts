import assert from "node:assert/strict";
import { test } from "node:test";
import { compactionReason } from "../../../../shared/log/compaction-policy.ts";
import type { CompactionPolicy, CompactionState } from "../../../../shared/log/compaction-policy.ts";

const NOW = 1_000_000;
const policy: CompactionPolicy = { dirtyRatioMin: 0.5, lagMsMin: 0, lagMsMax: Infinity, deleteRetentionMs: 100 };

function reason(state: Partial<CompactionState>, over: Partial<CompactionPolicy> = {}) {
  const dirty = { firstDirtyOffset: 10, cleanableEnd: 20, cleanBytes: 100, dirtyBytes: 100 };
  const rest = { firstDirtyStoredAt: undefined, lastHorizon: undefined };
  return compactionReason({ ...dirty, ...rest, ...state }, { ...policy, ...over }, NOW);
}

test("compaction: worth it when more than the ratio is dirty", () => {
  assert.equal(reason({ dirtyBytes: 100 }), undefined);
  assert.equal(reason({ dirtyBytes: 101 }), "dirty");
  assert.equal(reason({ cleanBytes: 0, dirtyBytes: 1 }, { dirtyRatioMin: 0.99 }), "dirty");
  assert.equal(reason({ dirtyBytes: 1 }, { dirtyRatioMin: 0 }), "dirty");
  assert.equal(reason({ cleanBytes: 0, dirtyBytes: 100 }, { dirtyRatioMin: 1 }), undefined);
});

test("compaction: never while nothing can be cleaned", () => {
  assert.equal(reason({ cleanBytes: 0, cleanableEnd: 10 }), undefined);
  assert.equal(reason({ cleanBytes: 0, cleanableEnd: 5 }), undefined);
});

test("compaction: a dirty record beyond the longest lag makes it due, whatever the ratio", () => {
  const little = { dirtyBytes: 1 };
  assert.equal(reason({ ...little, firstDirtyStoredAt: NOW - 50 }, { lagMsMax: 50 }), undefined);
  assert.equal(reason({ ...little, firstDirtyStoredAt: NOW - 51 }, { lagMsMax: 50 }), "lag");
  assert.equal(reason({ ...little, firstDirtyStoredAt: NOW - 51, cleanableEnd: 10 }, { lagMsMax: 50 }), undefined);
});

test("compaction: tombstones past their horizon make it due by themselves", () => {
  assert.equal(reason({ dirtyBytes: 0, cleanableEnd: 10, lastHorizon: NOW }), "tombstones");
  assert.equal(reason({ dirtyBytes: 0, cleanableEnd: 10, lastHorizon: NOW + 1 }), undefined);
});
