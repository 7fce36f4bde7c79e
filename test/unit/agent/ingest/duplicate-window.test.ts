import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DUPLICATE_CLIENTS_MAX, DuplicateWindow } from "../../../../agent/ingest/duplicate-window.ts";
import { BLOCKS_MIN, PAYLOAD_BYTES } from "../../../../agent/ingest/duplicate-window-blocks.ts";
import type { StoredBlock } from "../../../../agent/ingest/duplicate-window-blocks.ts";
import { KEPT_MESSAGES, PROVEN_AFTER } from "../../../../agent/ingest/duplicate-window-table.ts";

const isAnswered = (): boolean => false;

/** A window, the blocks it has stored, and commits with one number each, as long as nothing is held back. */
class World {
  readonly blocks = new Map<number, Uint8Array>();
  window = new DuplicateWindow([]);
  commit = 1;

  add(clientId: string, messageId: number, digest = 9, dup = false): void {
    this.window.add({ clientId, messageId, dup }, digest, this.commit);
  }

  addMany(clientId: string, first: number, count: number): void {
    for (let messageId = first; messageId < first + count; messageId++) this.add(clientId, messageId);
  }

  store(isStored = true): void {
    const numbers = [this.commit++];
    const calls = this.window.take(numbers);
    if (isStored) this.apply(calls[0]?.args);
    this.window.settle(numbers, isStored);
  }

  apply(args: unknown): void {
    for (const { slot, bytes } of (args ?? []) as StoredBlock[]) this.blocks.set(slot, Uint8Array.from(bytes));
  }

  /** What was not stored is gone. */
  restart(): void {
    const { commit } = this;
    this.window = new DuplicateWindow([...this.blocks].map(([slot, bytes]) => ({ slot, bytes })));
    assert.ok(this.window.firstCommit <= commit);
    this.commit = this.window.firstCommit;
  }

  isKnown(clientId: string, messageId: number, digest = 9): boolean {
    return this.window.find({ clientId, messageId, dup: true }, digest, isAnswered) !== undefined;
  }
}

test("duplicate window: a message sent again is found with its commit, also after a restart", () => {
  const world = new World();
  world.addMany("c", 101, 10);
  assert.equal(world.window.find({ clientId: "c", messageId: 110, dup: true }, 9, isAnswered), 1);
  world.store();
  world.restart();
  assert.equal(world.window.find({ clientId: "c", messageId: 110, dup: true }, 9, isAnswered), 1);
  assert.equal(world.isKnown("c", 110, 8), false);
  assert.equal(world.isKnown("d", 110), false);
});

test("duplicate window: what was not stored before the end is not known after it", () => {
  const world = new World();
  world.addMany("c", 101, 10);
  world.store();
  world.addMany("c", 111, 10);
  world.restart();
  assert.equal(world.isKnown("c", 110), true);
  assert.equal(world.isKnown("c", 111), false);
  // Sent again, they are new, and no identifier is used twice.
  world.addMany("c", 111, 10);
  assert.equal(world.isKnown("c", 120), true);
});

test("duplicate window: a commit that failed is forgotten, in memory and by the rows after it", () => {
  const world = new World();
  world.addMany("c", 101, 10);
  world.store(false);
  assert.equal(world.isKnown("c", 110), false);
  world.addMany("c", 101, 10);
  world.store();
  world.restart();
  assert.equal(world.isKnown("c", 110), true);
});

test("duplicate window: a client that used an identifier twice is not believed after a restart either", () => {
  for (const isFailedFirst of [false, true]) {
    const world = new World();
    world.addMany("c", 101, 10);
    world.store();
    world.add("c", 105);
    if (isFailedFirst) world.store(false);
    world.add("other", 1);
    world.store();
    world.restart();
    assert.equal(world.isKnown("c", 110), false, `failed first: ${isFailedFirst}`);
  }
});

test("duplicate window: beyond its limit of clients the one last heard of longest ago is forgotten", () => {
  const world = new World();
  for (let index = 0; index < DUPLICATE_CLIENTS_MAX; index++) world.addMany(`c${index}`, 101, 10);
  world.add("c0", 111);
  world.add("new", 1);
  for (const isRestarted of [false, true]) {
    assert.equal(world.window.clientCount, DUPLICATE_CLIENTS_MAX);
    assert.equal(world.isKnown("c0", 110), true);
    assert.equal(world.isKnown("c1", 110), false);
    assert.equal(world.isKnown("c2", 110), true);
    if (!isRestarted) world.store();
    if (!isRestarted) world.restart();
  }
});

test("duplicate window: a silent client is known however much others send, its last messages also after a restart", () => {
  const world = new World();
  world.addMany("hourly", 1001, 60);
  world.store();
  world.add("closed", 1);
  world.add("closed", 1);
  world.store();
  let messageId = 1;
  for (let commit = 0; commit < 1500; commit++) {
    for (let index = 0; index < 60; index++) {
      world.add("busy", messageId, messageId);
      messageId = (messageId % 65_535) + 1;
    }
    world.store();
    if (commit % 400 === 399) world.restart();
  }
  assert.ok(world.window.blockCount <= BLOCKS_MIN + 3, `${world.window.blockCount} blocks`);
  const known = Array.from({ length: 60 }, (_, index) => 1001 + index).filter((id) => world.isKnown("hourly", id));
  assert.equal(known.length, KEPT_MESSAGES);
  assert.equal(known.at(-1), 1060);
  // Still closed: not proven by what comes after.
  for (let id = 100; id < 100 + PROVEN_AFTER; id++) world.add("closed", id);
  assert.equal(world.isKnown("closed", 100), false);
});

test("duplicate window: messages that are held back are neither said to be stored nor handed on as such", () => {
  const world = new World();
  // Takes the first number, and stays open.
  world.addMany("held", 101, 10);
  const held = world.commit++;
  for (let commit = 0, messageId = 1; commit < 400; commit++) {
    for (let index = 0; index < 60; index++) world.add("busy", (messageId = (messageId % 65_535) + 1), messageId);
    world.store();
  }
  assert.equal(world.window.find({ clientId: "held", messageId: 110, dup: true }, 9, isAnswered), held);
  const crashed = new World();
  for (const [slot, bytes] of world.blocks) crashed.blocks.set(slot, bytes);
  crashed.commit = world.commit;
  crashed.restart();
  assert.equal(crashed.isKnown("held", 110), false);
  // The room is there: they leave with another commit.
  const numbers = [world.commit++, held];
  world.apply(world.window.take(numbers)[0]?.args);
  world.window.settle(numbers, true);
  world.restart();
  assert.equal(world.isKnown("held", 110), true);
});

test("duplicate window: QoS 2 messages use up identifiers, also after a restart", () => {
  const world = new World();
  world.addMany("c", 1, 20);
  for (let messageId = 21; messageId <= 26; messageId++) {
    world.window.pass({ clientId: "c", messageId, dup: false });
  }
  world.add("c", 27);
  world.store();
  for (let round = 0; round < 2; round++) {
    assert.equal(world.isKnown("c", 15), false);
    assert.equal(world.isKnown("c", 27), true);
    world.restart();
  }
  world.window.pass({ clientId: "c", messageId: 27, dup: false });
  assert.equal(world.isKnown("c", 27), false);
});

test("duplicate window: a new session that brings a new message forgets those before it, also after a restart", () => {
  const world = new World();
  world.addMany("c", 101, 10);
  world.store();
  world.window.beginSession("c");
  // One that never arrived the first time.
  world.add("c", 111, 9, true);
  world.add("c", 112);
  world.store();
  for (let round = 0; round < 2; round++) {
    assert.equal(world.isKnown("c", 110), false);
    assert.equal(world.isKnown("c", 112), true);
    world.restart();
  }
});

test("duplicate window: a new session that repeats a message is the same program's", () => {
  const world = new World();
  world.addMany("c", 101, 10);
  world.window.beginSession("c");
  assert.equal(world.isKnown("c", 109), true);
  world.add("c", 111);
  assert.equal(world.isKnown("c", 110), true);
});

test("duplicate window: two new sessions with nothing new between them may be two programs", () => {
  const world = new World();
  world.addMany("c", 101, 10);
  world.window.beginSession("c");
  world.window.beginSession("c");
  assert.equal(world.isKnown("c", 110), false);
  world.window.beginSession("nobody");

  world.addMany("c", 201, 10);
  for (let session = 0; session < 5; session++) {
    world.window.beginSession("c");
    assert.equal(world.isKnown("c", 210), true, "a program that repeats is the same");
  }
});

test("duplicate window: blocks that are damaged or gone harm nothing", () => {
  const world = new World();
  world.addMany("c", 101, 10);
  world.store();
  // Too much for the first block's rest, and for one.
  world.addMany("c", 111, 10);
  for (let index = 0; index < 300; index++) world.add(`d${index % 7}`, 1000 + index, index);
  world.store();
  const blocks = [...world.blocks];
  assert.equal(blocks.length, 4);
  const known = (): readonly boolean[] => [
    world.isKnown("c", 110),
    world.isKnown("c", 120),
    world.isKnown("d6", 1293, 293),
  ];
  world.restart();
  assert.deepEqual(known(), [true, true, true]);
  const without = (number: number, damaged?: Uint8Array): readonly boolean[] => {
    world.blocks.clear();
    world.commit = 100;
    for (const [slot, bytes] of blocks) world.blocks.set(slot, bytes);
    const [slot] = blocks[number]!;
    if (damaged === undefined) world.blocks.delete(slot);
    else world.blocks.set(slot, damaged);
    world.restart();
    return known();
  };
  // The first has the client's name, the second those of the others.
  assert.deepEqual(without(0), [false, false, true]);
  // Nor is what came before it believed: nobody knows how much came after that.
  assert.deepEqual(without(1), [false, false, false]);
  assert.deepEqual(without(3), [true, true, false]);
  assert.deepEqual(without(0, new Uint8Array(7)), [false, false, true]);
  assert.deepEqual(without(0, new Uint8Array(blocks[0]![1].length).fill(0xff)), [false, false, true]);
  const cut = Uint8Array.from(blocks[0]![1]);
  cut.fill(0xff, cut.length - PAYLOAD_BYTES + 10);
  assert.equal(without(0, cut)[0], false);
});

test("duplicate window: an old block is not believed when later ones were written over before it", () => {
  const world = new World();
  world.addMany("c", 101, 10);
  world.store();
  const [older] = world.blocks.keys();
  // More than the block's rest.
  world.addMany("c", 111, 300);
  world.store();
  for (let index = 0; index < 300; index++) world.add(`d${index}`, 1, index);
  world.store();
  world.restart();
  assert.equal(world.isKnown("c", 110), false, "too many came after it");
  const last = [...world.blocks.keys()].at(-1);
  for (const slot of world.blocks.keys()) if (slot !== older && slot !== last) world.blocks.delete(slot);
  world.restart();
  assert.equal(world.isKnown("c", 110), false);
});

test("duplicate window: commits that failed leave no hole in what is known after a restart", () => {
  const world = new World();
  world.addMany("c", 101, 10);
  world.store();
  // So much that it takes blocks of its own.
  for (let index = 0; index < 500; index++) world.add(`d${index}`, 1, index);
  world.store(false);
  for (let index = 0; index < 500; index++) world.add(`e${index}`, 1, index);
  world.store();
  world.restart();
  assert.equal(world.isKnown("c", 110), true);
});

test("duplicate window: in memory alone it has nothing to store", () => {
  const window = new DuplicateWindow();
  for (let messageId = 1; messageId < 100; messageId++) window.add({ clientId: "c", messageId, dup: false }, 9, 1);
  assert.deepEqual(window.take([1]), []);
  window.settle([1], true);
  assert.equal(window.find({ clientId: "c", messageId: 99, dup: true }, 9, isAnswered), 1);
  assert.equal(window.blockCount, 0);
});

/** How a client chooses the identifier of its next message. */
const strategies = {
  counting: (last: number, inFlight: ReadonlySet<number>) => {
    let next = last;
    do next = (next % 65_535) + 1;
    while (inFlight.has(next));
    return next;
  },
  lowestFree: (_last: number, inFlight: ReadonlySet<number>) => {
    let next = 1;
    while (inFlight.has(next)) next++;
    return next;
  },
  roundTheWindow: (last: number, inFlight: ReadonlySet<number>, windowMax: number) => {
    let next = last;
    do next = (next % windowMax) + 1;
    while (inFlight.has(next));
    return next;
  },
  always1: () => 1,
} as const;
type Strategy = keyof typeof strategies;

class Sensor {
  readonly id: string;
  readonly strategy: Strategy;
  readonly windowMax: number;
  readonly isClean: boolean;
  #lastId: number;
  #sent = 0;
  /** By identifier, in the order of the first sending. */
  #inFlight = new Map<number, number>();

  constructor(id: string, strategy: Strategy, options: { windowMax: number; firstId: number; isClean: boolean }) {
    this.id = id;
    this.strategy = strategy;
    this.windowMax = strategy === "always1" ? 1 : options.windowMax;
    this.#lastId = strategy === "counting" ? options.firstId : 0;
    this.isClean = options.isClean;
  }

  /** The packets of one connection: what is not acknowledged again, then new ones. */
  *send(newMax: number): Generator<{ messageId: number; sequence: number; dup: boolean }> {
    for (const [messageId, sequence] of [...this.#inFlight]) yield { messageId, sequence, dup: true };
    for (let count = 0; count < newMax && this.#inFlight.size < this.windowMax; count++) {
      const messageId = strategies[this.strategy](this.#lastId, new Set(this.#inFlight.keys()), this.windowMax);
      this.#lastId = messageId;
      this.#inFlight.set(messageId, this.#sent);
      yield { messageId, sequence: this.#sent++, dup: false };
    }
  }

  acknowledged(messageId: number): void {
    this.#inFlight.delete(messageId);
  }

  /** The program ends and begins again without memory, counting from 1. */
  startAgain(): void {
    this.#inFlight.clear();
    this.#lastId = 0;
  }
}

/**
 * Sensors whose value never changes, so that all of a sensor's messages have the same content, on connections that break
 * anywhere, to an agent that is killed now and then: no new message may be taken for an old one; and what a client that
 * counts sends again after the agent stored it must be recognised.
 */
test("duplicate window: over random losses and kills no new message is lost, and what counts up is recognised", () => {
  const step = fc.record({
    sensor: fc.nat(3),
    fresh: fc.integer({ min: 0, max: 30 }),
    arriveShare: fc.double({ min: 0, max: 1, noNaN: true }),
    answerShare: fc.double({ min: 0, max: 1, noNaN: true }),
    commitEvery: fc.integer({ min: 1, max: 9 }),
    event: fc.constantFrom(
      ...Array.from({ length: 12 }, () => "none" as const),
      "kill",
      "kill",
      "failed",
      "again",
      "busy",
    ),
  });
  const sensor = fc.record({
    strategy: fc.constantFrom(...(Object.keys(strategies) as Strategy[])),
    windowMax: fc.integer({ min: 1, max: 30 }),
    firstId: fc.constantFrom(0, 5, 30_000, 65_530),
    isClean: fc.boolean(),
  });
  const recognised = { count: 0 };
  fc.assert(
    fc.property(
      fc.array(sensor, { minLength: 4, maxLength: 4 }),
      fc.array(step, { minLength: 80, maxLength: 80 }),
      (kinds, steps) => {
        const world = new World();
        const sensors = kinds.map(({ strategy, ...rest }, index) => new Sensor(`s${index}`, strategy, rest));
        const stored = new Set<string>();
        let busyId = 0;
        for (const { sensor: index, fresh, arriveShare, answerShare, commitEvery, event } of steps) {
          const client = sensors[index]!;
          if (event === "again") client.startAgain();
          // Enough of others for blocks to be freed.
          for (let commit = 0; event === "busy" && commit < 30; commit++) {
            for (let count = 0; count < 100; count++) world.add("busy", (busyId = (busyId % 65_535) + 1), count);
            world.store();
          }
          if (client.isClean) world.window.beginSession(client.id);
          const packets = [...client.send(fresh)];
          const arriving = packets.slice(0, Math.ceil(packets.length * arriveShare));
          const answers: number[] = [];
          let gathered: { key: string; messageId: number }[] = [];
          const settle = (isStored: boolean): void => {
            world.store(isStored);
            if (isStored) for (const { key } of gathered) stored.add(key);
            if (isStored) answers.push(...gathered.map(({ messageId }) => messageId));
            gathered = [];
          };
          arriving.forEach(({ messageId, sequence, dup }, at) => {
            const key = `${client.id}:${sequence}`;
            if (dup && world.isKnown(client.id, messageId)) {
              const isThere = stored.has(key) || gathered.some((each) => each.key === key);
              assert.ok(isThere, `${client.strategy} ${messageId} of ${key} is new`);
              recognised.count++;
              gathered.push({ key, messageId });
            } else {
              world.add(client.id, messageId, 9, dup);
              gathered.push({ key, messageId });
            }
            if (at % commitEvery === 0) settle(true);
          });
          // The connection ends with the agent, or with a commit that the disk refused.
          if (event === "kill") world.restart();
          else settle(event !== "failed");
          for (const messageId of answers.slice(0, Math.floor(answers.length * answerShare))) {
            client.acknowledged(messageId);
          }
        }
      },
    ),
    { numRuns: 500 },
  );
  assert.ok(recognised.count > 1000, `only ${recognised.count} recognised`);
});

test("duplicate window: whatever a client that counts up has under way when the agent is killed is recognised", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 100, max: 65_535 }),
      fc.integer({ min: 0, max: 300 }),
      fc.integer({ min: 1, max: KEPT_MESSAGES }),
      fc.integer({ min: 1, max: 40 }),
      (first, count, underWay, commitEvery) => {
        const world = new World();
        const ids = Array.from(
          { length: count + PROVEN_AFTER + underWay },
          (_, index) => ((first + index - 1) % 65_535) + 1,
        );
        ids.forEach((id, at) => {
          world.add("c", id);
          if (at % commitEvery === 0) world.store();
        });
        world.store();
        world.restart();
        for (const id of ids.slice(-underWay)) {
          // Identifiers that begin again from 1 are believed only some messages later.
          if (id >= 2 * underWay) assert.ok(world.isKnown("c", id), `id ${id}`);
        }
      },
    ),
  );
});
