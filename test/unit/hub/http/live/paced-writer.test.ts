import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { writePaced } from "../../../../../hub/http/live/paced-writer.ts";

const neverClosed = new AbortController().signal;

test("waits until the reader has taken what there is", async () => {
  const stream = new PassThrough({ highWaterMark: 10 });
  await writePaced(stream, "short", { closed: neverClosed });
  let isWritten = false;
  const written = writePaced(stream, "x".repeat(100), { closed: neverClosed }).then(() => (isWritten = true));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isWritten, false);
  stream.resume();
  await written;
});

test("a reader that takes nothing is given up; a stream that ends is left at once", async () => {
  const stream = new PassThrough({ highWaterMark: 1 });
  await assert.rejects(
    writePaced(stream, "xx", { closed: neverClosed, stallMsMax: 5 }),
    /TIMEOUT: the reader took nothing for 5 ms/,
  );
  const controller = new AbortController();
  const written = writePaced(stream, "xx", { closed: controller.signal });
  controller.abort();
  await assert.rejects(written, { name: "AbortError" });
});
