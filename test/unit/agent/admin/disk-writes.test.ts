import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import {
  DiskWriteMeter,
  WRITES_SAMPLE_MS,
  diskBytesWritten,
  parseProcIo,
} from "../../../../agent/admin/disk-writes.ts";
import { tempDir } from "../../../support/temp-dir.ts";

// proc(5), the example of /proc/PID/io.
const example = `rchar: 323934931
wchar: 323929600
syscr: 632687
syscw: 632675
read_bytes: 0
write_bytes: 323932160
cancelled_write_bytes: 0
`;

test("disk writes: the bytes that reached storage, not those given to write(2) nor those cancelled", () => {
  assert.equal(parseProcIo(example), 323_932_160);
});

test("disk writes: a system that does not say, or files in memory -> not known", async (t) => {
  const directory = tempDir(t);
  const file = path.join(directory, "io");
  writeFileSync(file, example);
  assert.equal(await diskBytesWritten(undefined, file), 323_932_160);
  assert.equal(parseProcIo("rchar: 1\n"), undefined);
  assert.equal(await diskBytesWritten(directory, "/nonexistent/io"), undefined);
  // The kernel keeps it for shared memory.
  assert.equal(await diskBytesWritten("/dev/shm", file), undefined);
});

test("disk writes: bytes of a record since the start, and of a day at the rate of the last hour", () => {
  const meter = new DiskWriteMeter();
  const unknown = { bytesPerRecord: null, bytesPerDay: null, rateSeconds: 0 };
  assert.deepEqual(meter.report(0, undefined, 5), { writtenBytes: null, ...unknown });
  assert.deepEqual(meter.report(0, 4096, 0), { writtenBytes: 4096, ...unknown });
  // Two hours at 1 kB a second, then 10.
  for (let minute = 0; minute <= 120; minute++) meter.add(minute * 60_000, minute * 60_000);
  assert.deepEqual(meter.report(7_200_000, 7_200_000, 72_000), {
    writtenBytes: 7_200_000,
    bytesPerRecord: 100,
    bytesPerDay: 86_400_000,
    rateSeconds: 3600,
  });
  for (let minute = 1; minute <= 60; minute++) meter.add(7_200_000 + minute * 60_000, 7_200_000 + minute * 600_000);
  assert.equal(meter.report(10_800_000, 7_200_000 + 36_000_000, 1).bytesPerDay, 864_000_000);
});

test("disk writes: samples are taken no closer than they are due", () => {
  const meter = new DiskWriteMeter();
  assert.equal(meter.isDue(0), true);
  meter.add(0, 0);
  assert.equal(meter.isDue(WRITES_SAMPLE_MS - 1), false);
  meter.add(WRITES_SAMPLE_MS - 1, 5);
  assert.equal(meter.isDue(WRITES_SAMPLE_MS), true);
  // A system that does not say is not asked more often.
  meter.add(WRITES_SAMPLE_MS, undefined);
  assert.equal(meter.isDue(WRITES_SAMPLE_MS + 1), false);
  assert.equal(meter.report(2 * WRITES_SAMPLE_MS, 4096, 1).bytesPerDay, 4096 * 720);
});
