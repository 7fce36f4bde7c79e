/**
 * Histories of a group: clients join, leave, die, stand still and lose answers, topics come, grow and go, the hub dies
 * and comes back. GROUP_SEED repeats one.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { subscribedTopics } from "../../../../../hub/group/consumer/subscriptions.ts";
import { contains, each, isSamePartitions } from "../../../../../hub/group/consumer/partitions.ts";
import { SimulatedClient } from "./consumer-client.ts";
import { ConsumerPlay } from "./consumer-play.ts";
import { wholeRandom, type Random } from "./whole-random.ts";

const HISTORY_COUNT = 40;
const STEP_COUNT = 200;

class Simulation {
  readonly #random: Random;
  readonly #play = new ConsumerPlay({ t: 5, u: 3 });
  readonly #clients: readonly SimulatedClient[];
  #topicCount = 0;
  #epoch = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#play.checksPurity = false;
    this.#clients = Array.from({ length: 6 }, (_, index) => new SimulatedClient(`c${index}`, index >= 4, random));
  }

  get persistCount(): number {
    return this.#play.persisted.length;
  }

  step(): void {
    this.#misfortune();
    for (const client of this.#clients) {
      client.tick(this.#play, this.#random(6) === 0);
      this.#check();
    }
  }

  rest(): void {
    for (const client of this.#clients) client.isPaused = false;
    for (let round = 0; round < 30; round++) {
      this.#expireTheDead();
      for (const client of this.#clients) client.tick(this.#play, false);
      this.#check();
    }
    const before = this.persistCount;
    for (const client of this.#clients) client.tick(this.#play, false);
    assert.equal(this.persistCount, before, "a group at rest does not touch the disk");
    this.#checkRest();
  }

  #misfortune(): void {
    const client = this.#clients[this.#random(this.#clients.length)];
    assert.ok(client);
    const kinds: readonly (() => void)[] = [
      () => client.start(),
      () => client.start(),
      () => client.kill(),
      () => client.leave(this.#play),
      () => client.resubscribe(),
      () => void (client.isPaused = true),
      () => void (client.isPaused = false),
      () => this.#expireTheDead(),
      () => this.#expire("session", client),
      () => this.#expire("revocation", client),
      () => this.#changeTopics(),
      () => (this.persistCount > 0 ? this.#play.restart() : undefined),
    ];
    kinds[this.#random(kinds.length * 2)]?.();
  }

  /** Sessions of processes that are gone; all others are heard in time. */
  #expireTheDead(): void {
    const living = new Set(this.#clients.filter(({ isRunning }) => isRunning).map(({ memberId }) => memberId));
    for (const memberId of this.#play.state.members.keys()) {
      if (!living.has(memberId)) this.#play.expire("session", memberId);
    }
  }

  #expire(kind: "session" | "revocation", { memberId }: SimulatedClient): void {
    if (this.#play.timers.has(`${kind} ${memberId}`)) this.#play.expire(kind, memberId);
  }

  #changeTopics(): void {
    const topics = new Map(this.#play.catalog);
    const name = ["t", "u", "v"][this.#random(3)] ?? "t";
    const topic = topics.get(name);
    if (topic === undefined)
      topics.set(name, { id: `id-${name}-${++this.#topicCount}`, partitionCount: 1 + this.#random(6) });
    else if (this.#random(3) === 0) topics.delete(name);
    else topics.set(name, { ...topic, partitionCount: topic.partitionCount + this.#random(3) });
    this.#play.catalog = topics;
  }

  #check(): void {
    const { state } = this.#play;
    assert.ok(state.epoch >= this.#epoch && state.assignmentEpoch <= state.epoch, "epochs never go back");
    this.#epoch = state.epoch;
    const owners = new Map<string, string>();
    for (const { memberId, assigned, revoking } of state.members.values()) {
      for (const place of [...each(assigned), ...each(revoking)]) {
        const key = place.join(" ");
        assert.ok(!owners.has(key), `${key} belongs to ${owners.get(key)} and to ${memberId}`);
        owners.set(key, memberId);
      }
    }
    for (const { memberId, reading, isRunning } of this.#clients) {
      // Whoever was expelled learns it with its next heartbeat; until then nothing can be said of it.
      const member = state.members.get(memberId);
      if (!isRunning || member === undefined) continue;
      for (const place of each(reading)) {
        assert.equal(
          owners.get(place.join(" ")),
          memberId,
          `${memberId} reads ${place.join(" ")}, which is not its own`,
        );
      }
    }
  }

  #checkRest(): void {
    const { state, phase } = this.#play;
    const running = this.#clients.filter(({ isRunning }) => isRunning);
    assert.deepEqual([...state.members.keys()].toSorted(), running.map(({ memberId }) => memberId).toSorted());
    assert.equal(phase, running.length === 0 ? "Empty" : "Stable");
    for (const { memberId, reading } of running) {
      const { assigned } = this.#play.member(memberId);
      assert.ok(isSamePartitions(reading, assigned), `${memberId} reads what it is assigned`);
    }
    const wanted = new Set([...state.members.values()].flatMap((member) => [...subscribedTopics(state, member)]));
    for (const [name, { id, partitionCount }] of this.#play.catalog) {
      for (let partition = 0; wanted.has(name) && partition < partitionCount; partition++) {
        assert.ok(
          running.some(({ reading }) => contains(reading, id, partition)),
          `somebody reads ${name} ${partition}`,
        );
      }
    }
    for (const timer of this.#play.timers.keys()) assert.match(timer, /^session /, "only sessions run at rest");
  }
}

test("whatever happens, partitions have one owner, epochs go on, and the group comes to rest with all of them read", (t) => {
  const given = process.env["GROUP_SEED"];
  const first = given === undefined ? randomInt(2 ** 31) : Number(given);
  const count = given === undefined ? HISTORY_COUNT : 1;
  t.diagnostic(`seeds ${first} to ${first + count - 1}`);
  let persistCount = 0;
  for (let seed = first; seed < first + count; seed++) {
    try {
      const simulation = new Simulation(wholeRandom(seed));
      for (let step = 0; step < STEP_COUNT; step++) simulation.step();
      simulation.rest();
      persistCount += simulation.persistCount;
    } catch (error) {
      throw new Error(`GROUP_SEED=${seed}`, { cause: error });
    }
  }
  if (given === undefined) assert.ok(persistCount > 50 * count, "the histories are eventful");
});
