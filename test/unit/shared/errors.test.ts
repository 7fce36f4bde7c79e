import assert from "node:assert/strict";
import { globSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import { StreamError, errorTable, toStreamError } from "../../../shared/errors.ts";

const root = path.resolve(import.meta.dirname, "../../..");

suite("errors", () => {
  test("an error takes hint, retriable and Kafka's code from its row", () => {
    const error = new StreamError("LOG_FULL", "the cap is reached");
    assert.equal(error.message, "LOG_FULL: the cap is reached");
    const { retriable, wire, hint } = errorTable.LOG_FULL;
    assert.deepEqual([error.retriable, error.wire, error.hint], [retriable, wire, hint]);
  });

  test("cause, details and a hint of its own are kept", () => {
    const cause = new Error("EIO");
    const error = new StreamError("LOG_IO", "flush", { cause, details: { file: "log.db" }, hint: "Look at the disk." });
    assert.equal(error.cause, cause);
    assert.deepEqual([error.details, error.hint], [{ file: "log.db" }, "Look at the disk."]);
  });

  test("whatever was thrown becomes an error with a code, and a StreamError stays itself", () => {
    const own = new StreamError("TIMEOUT", "late");
    assert.equal(toStreamError(own), own);
    const foreign = new TypeError("x is not a function");
    assert.deepEqual([toStreamError(foreign).code, toStreamError(foreign).cause], ["UNEXPECTED", foreign]);
    assert.equal(toStreamError("text").message, "UNEXPECTED: text");
  });

  test("every area's rows are in the table, and no code stands in two areas", async () => {
    const areas = await Promise.all(
      globSync("shared/errors/*-errors.ts", { cwd: root }).map(async (file) => {
        const exported = Object.values((await import(path.join(root, file))) as Record<string, object>);
        return exported.flatMap((rows) => Object.keys(rows));
      }),
    );
    assert.ok(areas.length > 1);
    assert.deepEqual(areas.flat().toSorted(), Object.keys(errorTable).toSorted());
  });

  test("every row says what it means and what to do, in sentences", () => {
    for (const [code, { meaning, hint }] of Object.entries(errorTable)) {
      assert.match(meaning, /^\S.*\.$/, code);
      assert.match(hint, /\.$/, code);
    }
  });
});
