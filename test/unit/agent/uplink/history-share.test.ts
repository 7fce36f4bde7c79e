import assert from "node:assert/strict";
import test from "node:test";
import { HistoryShare } from "../../../../agent/uplink/history-share.ts";

const BATCH_BYTES = 1000;

/** Both always have a batch to send. */
function shareOf(percent: number, batches: number, bytes = BATCH_BYTES): number {
  const share = new HistoryShare({ percent, batchBytesMax: BATCH_BYTES });
  let history = 0;
  for (let sent = 0; sent < batches; sent++) {
    if (share.isDue) {
      history++;
      share.historySent(bytes);
    } else share.liveSent(bytes);
  }
  return (100 * history) / batches;
}

test("history share: under full load history gets its per cent of the bytes, whatever the batches' size", () => {
  for (const percent of [1, 5, 20, 50, 90]) {
    for (const bytes of [100, 700, BATCH_BYTES]) {
      const found = shareOf(percent, 20_000, bytes);
      assert.ok(Math.abs(found - percent) < 0.1 * percent + 0.1, `${percent}: ${found} with ${bytes} bytes`);
    }
  }
});

test("history share: what new records alone have sent gives history the answer to one batch, no more", () => {
  const share = new HistoryShare({ percent: 50, batchBytesMax: BATCH_BYTES });
  for (let sent = 0; sent < 1000; sent++) share.liveSent(BATCH_BYTES);
  share.historySent(BATCH_BYTES);
  assert.ok(share.isDue);
  share.historySent(BATCH_BYTES);
  assert.ok(!share.isDue);
});

test("history share: history that had the link for itself owes nothing for it", () => {
  const share = new HistoryShare({ percent: 50, batchBytesMax: BATCH_BYTES });
  for (let sent = 0; sent < 1000; sent++) share.historySent(BATCH_BYTES);
  share.liveSent(BATCH_BYTES);
  assert.ok(share.isDue);
});
