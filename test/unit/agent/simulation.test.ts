/**
 * Histories of chance of the whole agent and a hub: clients publish and lose their connections, the log is full, commits
 * fail, the power goes, the clock is wrong, jumps and is set, the link is cut. In the end every message is where it was
 * promised to be. AGENT_SEED=n plays one history again, AGENT_HISTORIES=n plays that many of each kind.
 */
import assert from "node:assert/strict";
import test, { mock } from "node:test";
import { seededRandom } from "../../../bin/demo/random.ts";
import type { RouteConfig } from "../../../agent/ingest/route.ts";
import { RESTORED_MS } from "../../../agent/time/clock-state.ts";
import { AgentWorld } from "../../support/agent-world.ts";
import { judge, judgeLedger } from "../../support/agent-judge.ts";
import type { Findings } from "../../support/agent-judge.ts";
import type { PublisherOptions, Qos } from "../../support/virtual-publisher.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import { settled } from "../../support/virtual-timers.ts";

const STEPS = 500;
const HISTORIES = Number(process.env["AGENT_HISTORIES"] ?? 12);
const seedGiven = process.env["AGENT_SEED"];
const firstSeed = seedGiven === undefined ? Date.now() % 1_000_000 : Number(seedGiven);

const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;
const YEAR_MS = 365 * 24 * HOUR_MS;
const ROOMY_BYTES = 1_000_000;

const routes: readonly RouteConfig[] = [
  { match: "oldest/{client}", topic: "oldest", key: "{client}", partitions: 2, overflow: "drop-oldest" },
  {
    match: "newest/{client}",
    topic: "newest",
    key: "{client}",
    partitions: 2,
    overflow: "drop-newest",
    acks: "leader",
  },
  { match: "block/{client}", topic: "block", key: "{client}", partitions: 1, overflow: "block" },
  { match: "dear/{client}", topic: "dear", key: "{client}", partitions: 1, overflow: "drop-oldest", priority: 5 },
];
const topics = ["oldest", "newest", "block", "dear"];

type Faults = {
  /** The log has little room, some of what is in it is too old, and the hub is away for long. */
  readonly overflow?: boolean;
  /** Commits are refused for want of room, or break the disk. */
  readonly disk?: boolean;
  readonly kills?: boolean;
  /** The power goes, and the clock may be anything when it is back. */
  readonly powerCuts?: boolean;
  /** The system clock jumps, and NTP sets it. */
  readonly jumps?: boolean;
};

class History {
  readonly #random: () => number;
  readonly #faults: Faults;
  readonly world: AgentWorld;

  constructor(seed: number, faults: Faults) {
    const source = seededRandom(seed);
    this.#random = () => source.next();
    this.#faults = faults;
    this.world = new AgentWorld({
      random: this.#random,
      timers: mock.timers,
      routes,
      publishers: Array.from({ length: 6 }, (_, index) => this.#publisher(index)),
      capBytes: faults.overflow === true ? 3_000 + this.#below(8_000) : ROOMY_BYTES,
    });
  }

  async play(): Promise<Findings> {
    const { world } = this;
    // On the first start of all, nobody has confirmed the clock.
    this.#boot();
    await this.#start();
    for (let step = 0; step < STEPS; step++) {
      await this.#step();
      if (this.#chance(0.5)) await settled();
    }
    await world.drain();
    // What is left to tell is told by the next welcomes.
    for (let again = 0; again < 2; again++) {
      await world.cut();
      await world.drain();
    }
    return judge(world);
  }

  async #step(): Promise<void> {
    const { world } = this;
    const { log, agent } = world;
    const publisher = this.#any(world.publishers);
    const kind = this.#random();
    if (agent === undefined) {
      await this.world.advance(this.#below(2 * SECOND_MS));
      return this.#start();
    }
    if (kind < 0.2) {
      if (publisher.connection === undefined) publisher.connect();
      for (let count = 1 + this.#below(4); count > 0; count--) publisher.publish();
    } else if (kind < 0.42) {
      // While it is full nothing is read, but for what had been read by then.
      if (!agent.ingest.isFull || this.#chance(0.2)) world.readPacket(publisher);
    } else if (kind < 0.5) publisher.hear();
    else if (kind < 0.7) this.#moveLog();
    else if (kind < 0.9) await world.deliver();
    else if (kind < 0.92) publisher.disconnect();
    else if (kind < 0.925 && this.#faults.overflow === true) this.#expire();
    else if (kind < 0.95) await this.#pass();
    else if (kind < 0.97) {
      if (this.#chance(this.#faults.overflow === true ? 0.3 : 0.8)) world.connect();
    } else if (kind < 0.98) await world.cut();
    else if (kind < 0.985 && this.#faults.kills === true) world.kill();
    else if (kind < 0.99 && this.#faults.powerCuts === true) this.#cutPower();
    else if (this.#faults.jumps === true) await this.#turnClock();
    if (log === undefined) throw new Error("an agent without a log");
  }

  #moveLog(): void {
    const { log } = this.world;
    if (log?.isWriting === true && this.#faults.disk === true) {
      if (this.#chance(0.1)) return log.refuse();
      if (this.#chance(0.02)) return this.world.breakDisk(this.#chance(0.5));
    }
    log?.step();
  }

  async #pass(): Promise<void> {
    const long = this.#chance(0.1);
    await this.world.advance(long ? this.#below(700 * SECOND_MS) : this.#below(2 * SECOND_MS));
  }

  /** A disk that fails meanwhile ends the program. */
  #expire(): void {
    void this.world.agent?.expiry.check().catch(() => undefined);
  }

  async #start(): Promise<void> {
    const isHurt = this.#chance(0.3);
    await this.world.startAgent({
      stepsMax: isHurt && this.#faults.kills === true ? this.#below(12) : Infinity,
      isFull: () => this.#faults.disk === true && this.#chance(0.2),
    });
    judgeLedger(this.world);
  }

  #cutPower(): void {
    this.world.cutPower();
    this.#boot();
  }

  /** Off for a while; then a clock that is right, or wrong in any way. */
  #boot(): void {
    const { gateway, storedClock } = this.world;
    const offMs = this.#below(3 * 24 * HOUR_MS);
    if (this.#faults.powerCuts !== true || this.#chance(0.4)) return gateway.boot({ offMs, aheadMs: this.#error() });
    const trueMs = gateway.trueMs + offMs;
    const lastKnownMs = storedClock.saved?.savedAtMs ?? trueMs;
    const restored = Math.min(trueMs, lastKnownMs + this.#below(RESTORED_MS / 2));
    const behind = lastKnownMs - this.#below(100 * HOUR_MS);
    const plausible = trueMs + this.#below(60 * 24 * HOUR_MS) - this.#below(offMs);
    const shown = this.#any([0, restored, behind, plausible, trueMs + 10 * YEAR_MS]);
    gateway.boot({ offMs, aheadMs: shown - trueMs });
  }

  async #turnClock(): Promise<void> {
    const { gateway, agent, storedClock } = this.world;
    const status = agent?.time.status();
    if (this.#chance(0.4)) {
      gateway.synchronize(this.#error());
      // The agent looks once a second; what jumps before that has jumped unseen.
      await this.world.advance(1500);
    }
    // A process that starts after a jump has the monotonic clock of its boot to tell it by, once the time is on the disk.
    else if (status?.isKnown === true && storedClock.saved?.bootId === gateway.bootId) {
      gateway.aheadMs = this.#any([14 * YEAR_MS, HOUR_MS, -HOUR_MS, -40 * YEAR_MS]);
    }
  }

  /** Of a clock that is called right. */
  #error(): number {
    return this.#below(2 * SECOND_MS) - SECOND_MS;
  }

  #any<Value>(list: readonly Value[]): Value {
    return list[this.#below(list.length)] as Value;
  }

  #below(end: number): number {
    return Math.floor(this.#random() * end);
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  #publisher(index: number): PublisherOptions {
    const name = `client${index}`;
    const qos = (index % 3) as Qos;
    // Some count up without end; others come round soon, which is outside of the duplicate window.
    const messageIds = this.#chance(0.7) ? { first: 1000, last: 65_535 } : { first: 1, last: 8 + this.#below(20) };
    return { name, topic: `${this.#any(topics)}/${name}`, qos, windowMax: 1 + this.#below(6), messageIds };
  }
}

async function play(seed: number, faults: Faults): Promise<Findings> {
  const history = new History(seed, faults);
  try {
    return await history.play();
  } finally {
    history.world.close();
  }
}

const kinds: { readonly name: string; readonly faults: Faults }[] = [
  { name: "clients and links that break", faults: {} },
  { name: "a log without room", faults: { overflow: true } },
  { name: "a disk that refuses and fails", faults: { disk: true, kills: true } },
  { name: "power cuts and clocks that are wrong", faults: { kills: true, powerCuts: true, jumps: true } },
  { name: "everything at once", faults: { overflow: true, disk: true, kills: true, powerCuts: true, jumps: true } },
];

for (const { name, faults } of kinds) {
  test(`agent: ${name} -> what was acknowledged is at the hub or declared, once, in order, at its time`, async (t) => {
    const seeds =
      seedGiven === undefined ? Array.from({ length: HISTORIES }, (_, index) => firstSeed + index) : [firstSeed];
    t.diagnostic(`AGENT_SEED=${firstSeed}, ${seeds.length} histories`);
    const sum = { records: 0, twice: 0, lost: 0, declared: 0, estimated: 0, corrected: 0 };
    for (const seed of seeds) {
      const findings = await play(seed, faults).catch((error: unknown) => {
        throw new Error(`AGENT_SEED=${seed}`, { cause: error });
      });
      for (const key of Object.keys(sum) as (keyof Findings)[]) sum[key] += findings[key];
    }
    t.diagnostic(JSON.stringify(sum));
    assert.ok(sum.records > 0, "records arrive");
    const hasRoom = faults.overflow !== true && faults.disk !== true;
    if (hasRoom) assert.equal(sum.lost + sum.declared, 0, "nothing is lost where there is room");
  });
}

test("agent: a topic of which everything was dropped is in the hub's ledger without a restart", async (t) => {
  const world = new AgentWorld({
    random: () => 0.5,
    timers: mock.timers,
    routes,
    publishers: ["newest", "dear"].map((topic) => {
      return { name: topic, topic: `${topic}/c`, qos: 0, windowMax: 1, messageIds: { first: 1, last: 1 } };
    }),
    capBytes: 3000,
  });
  onCleanUp(t, () => world.close());
  await world.startAgent();
  for (const publisher of world.publishers) {
    publisher.connect();
    for (let count = 0; count < 100; count++) {
      publisher.publish();
      world.readPacket(publisher);
      while (world.log?.step() === true) await settled();
    }
  }
  await world.drain();
  await judge(world);
  const lost = world.losses.findLast(({ topic }) => topic === "dear");
  assert.deepEqual([lost?.reason, lost?.records], ["overflow", 100]);
});
