import assert from "node:assert/strict";
import { test } from "node:test";
import { diskBytesWritten, parseProcIo } from "../../../../agent/admin/disk-writes.ts";

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

test("disk writes: a system that does not say -> not known", async () => {
  assert.equal(parseProcIo("rchar: 1\n"), undefined);
  assert.equal(await diskBytesWritten("/nonexistent/io"), undefined);
});
