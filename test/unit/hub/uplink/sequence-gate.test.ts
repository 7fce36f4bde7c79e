import assert from "node:assert/strict";
import test from "node:test";
import { SequenceGate } from "../../../../hub/uplink/sequence-gate.ts";

const place = (producerEpoch: number, baseSequence: number) => ({ producerEpoch, baseSequence });

test("sequence gate: where the producer is not known, only sequence 0 begins", () => {
  const gate = new SequenceGate();
  assert.equal(gate.admit("a/0", place(3, 10)), false);
  assert.equal(gate.admit("a/0", place(3, 0)), true);
  assert.equal(gate.admit("a/0", place(3, 10)), true);
});

test("sequence gate: where the producer is known, the engine judges", () => {
  const gate = new SequenceGate();
  gate.know("a/0");
  assert.equal(gate.admit("a/0", place(3, 10)), true);
  assert.equal(gate.admit("a/1", place(3, 10)), false);
});

test("sequence gate: behind a refused batch nothing passes but that batch", () => {
  const gate = new SequenceGate();
  gate.know("a/0");
  gate.refused("a/0", place(3, 10));
  // What was on its way behind it is refused as well, and changes nothing.
  gate.refused("a/0", place(3, 20));
  assert.equal(gate.admit("a/0", place(3, 20)), false);
  assert.equal(gate.admit("a/0", place(3, 30)), false);
  assert.equal(gate.admit("a/0", place(3, 0)), false);
  assert.equal(gate.admit("a/0", place(3, 10)), true);
  assert.equal(gate.admit("a/0", place(3, 20)), true);
});

test("sequence gate: behind a refused batch a new epoch may begin", () => {
  const gate = new SequenceGate();
  gate.know("a/0");
  gate.refused("a/0", place(3, 10));
  assert.equal(gate.admit("a/0", place(2, 0)), false);
  assert.equal(gate.admit("a/0", place(4, 1)), false);
  assert.equal(gate.admit("a/0", place(4, 0)), true);
});
