/**
 * A log that is killed while it is compacted, just before each of the commits that replace batches: no key loses its last
 * value, offsets and times stay, and the next start goes on from there.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { splitBatches } from "../../shared/batch/record-batch.ts";
import { decodeRecords } from "../../shared/batch/records.ts";
import { TestChild } from "../support/child-process.ts";
import { openLog } from "../support/open-log.ts";
import { tempDir } from "../support/temp-dir.ts";

const PROGRAM = fileURLToPath(new URL("../support/compacting-program.ts", import.meta.url));
const DEADLINE_MS = 60_000;
const ROUNDS = 3;

suite("crash: compaction", () => {
  test("killed before any of its commits, a log keeps the last acknowledged value of every key", async (t) => {
    const directory = tempDir(t);
    const acknowledged = new Map<string, number>();
    let killed = 0;
    let next = 0;
    for (let pass = 1; ; pass++) {
      const child = await TestChild.start(t, {
        command: process.execPath,
        args: [PROGRAM, directory, `${ROUNDS}`, `${next}`],
        env: { TRIBUTARY_CRASH_AT: `hub-before-replace:${pass}` },
        onLine: (line) => {
          const [key = "", value] = line.split(" ");
          acknowledged.set(key, Number(value));
        },
      });
      const exit = await child.exitWithin(DEADLINE_MS);
      next = 1_000_000 * pass;
      await check(directory, acknowledged, t);
      if (exit.signal === null) {
        assert.equal(exit.code, 0, child.describe());
        break;
      }
      assert.equal(exit.signal, "SIGKILL");
      killed++;
    }
    t.diagnostic(`killed ${killed} times`);
    assert.ok(killed >= 6, `killed ${killed} times`);
  });
});

async function check(directory: string, acknowledged: ReadonlyMap<string, number>, t: { after(f: () => void): void }) {
  const log = await openLog(t, directory);
  const partition = log.partition("state", 0);
  const last = new Map<string, number>();
  let before = -1;
  for (let offset = 0; offset < partition.logEndOffset;) {
    const bytes = await log.read({ partition, offset, bytesMax: 1 << 20, atLeastOne: true });
    for (const batch of splitBatches(bytes)) {
      for (const record of decodeRecords(batch)) {
        assert.ok(record.offset > before, "offsets ascend");
        before = record.offset;
        last.set(String(record.key), Number(record.value));
      }
    }
    offset = before + 1;
  }
  assert.equal(before + 1, partition.logEndOffset, "the log's end is the end of its last record");
  for (const [key, value] of acknowledged) {
    // What was on its way when the program was killed may be there too; values only count up.
    assert.ok((last.get(key) ?? -1) >= value, `${key} is ${last.get(key)}, ${value} was acknowledged`);
  }
  await log.close();
}
