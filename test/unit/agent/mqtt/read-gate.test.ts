import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { ReadGate } from "../../../../agent/mqtt/read-gate.ts";

/** A sink that is full after `room` chunks, and streams with a chunk each that are read like aedes does it. */
async function start(room: number, names: readonly string[]) {
  const taken: string[] = [];
  let free = room;
  const gate = new ReadGate(() => free <= 0);
  const streams = names.map((name) => {
    const stream = new PassThrough();
    gate.guard(stream);
    stream.on("readable", () => {
      const chunk = stream.read() as Buffer | null;
      if (chunk === null) return;
      taken.push(`${name}${chunk.toString()}`);
      free--;
    });
    stream.write("1");
    return stream;
  });
  await turn();
  const makeRoom = (chunks: number): void => {
    free = chunks;
    gate.open();
  };
  return { gate, streams, taken, makeRoom };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("read gate: nobody is read while the sink is full, and nothing is lost", async () => {
  const { gate, taken, makeRoom } = await start(2, ["a", "b", "c", "d"]);
  assert.deepEqual(taken, ["a1", "b1"]);
  assert.equal(gate.waitingCount, 2);
  makeRoom(10);
  assert.deepEqual(taken, ["a1", "b1", "c1", "d1"]);
  assert.equal(gate.waitingCount, 0);
});

test("read gate: those who wait take turns when there is room for some", async () => {
  const { streams, taken, makeRoom } = await start(0, ["a", "b", "c"]);
  makeRoom(1);
  streams[0]!.write("2");
  await turn();
  makeRoom(1);
  makeRoom(2);
  await turn();
  assert.deepEqual(taken, ["a1", "b1", "c1", "a2"]);
});

test("read gate: one that has ended waits no more; left open, everybody is read", async () => {
  const { gate, streams, taken } = await start(0, ["a", "b"]);
  streams[0]!.destroy();
  await turn();
  assert.equal(gate.waitingCount, 1);
  gate.leaveOpen();
  assert.deepEqual(taken, ["b1"]);
});
