import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSocketBytes } from "../../../../bench/measure/socket-bytes.ts";

test("socket bytes: those of all connections together; no connections, no bytes", () => {
  const text = [
    "ESTAB 0 0 127.0.0.1:4000 127.0.0.1:5000",
    "\t cubic rto:204 bytes_sent:120 bytes_acked:100 bytes_received:7 segs_out:3",
    "ESTAB 0 0 127.0.0.1:4001 127.0.0.1:5000",
    "\t cubic rto:204 bytes_sent:30 bytes_acked:30 segs_out:3",
  ].join("\n");
  assert.deepEqual(parseSocketBytes(text), { up: 130, down: 7 });
  assert.deepEqual(parseSocketBytes(""), { up: 0, down: 0 });
});
