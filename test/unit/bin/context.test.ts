import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { paintFor, write, writeLine } from "../../../bin/context.ts";
import type { Output } from "../../../bin/context.ts";

const terminal = (): Output => Object.assign(new PassThrough(), { isTTY: true, columns: 80 });

test("colours are for terminals", () => {
  assert.equal(paintFor(terminal(), {}).bad("x"), "\u001b[31mx\u001b[39m");
  assert.equal(paintFor(new PassThrough(), {}).bad("x"), "x");
});

test("NO_COLOR and a dumb terminal turn colours off, an empty NO_COLOR does not", () => {
  assert.equal(paintFor(terminal(), { NO_COLOR: "1" }).bad("x"), "x");
  assert.equal(paintFor(terminal(), { TERM: "dumb" }).bad("x"), "x");
  assert.notEqual(paintFor(terminal(), { NO_COLOR: "" }).bad("x"), "x");
});

test("a line is written with its end, and a destroyed stream rejects", async () => {
  const output = new PassThrough();
  await writeLine(output, "one");
  await write(output, "two");
  assert.equal(String(output.read()), "one\ntwo");
  output.on("error", () => undefined);
  output.destroy();
  await assert.rejects(writeLine(output, "three"));
});
