import assert from "node:assert/strict";
import { test } from "node:test";
import { workerFile } from "../../../shared/worker-file.ts";

test("a worker file has the extension of the module that starts it", () => {
  assert.equal(workerFile("file:///a/hub/hub.ts", "./log-worker").href, "file:///a/hub/log-worker.ts");
  assert.equal(workerFile("file:///a/dist/hub/hub.js", "./log-worker").href, "file:///a/dist/hub/log-worker.js");
});
