/**
 * Histories of chance: records come, the link is cut wherever it hurts, the agent dies, its disk forgets, the log runs
 * over, the hub refuses. In the end everything must be accounted for. UPLINK_SEED=n plays one history again,
 * UPLINK_HISTORIES=n plays that many.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { seededRandom } from "../../../../bin/demo/random.ts";
import type { ErrorCode } from "../../../../shared/errors.ts";
import type { Acks } from "../../../../shared/record.ts";
import { DIVISION_NOTE } from "../../../../agent/uplink/uplink.ts";
import { TOPIC, UplinkWorld } from "../../../support/uplink-world.ts";
import type { VirtualPartition } from "../../../support/virtual-log.ts";
import { settled } from "../../../support/virtual-timers.ts";

const PARTITIONS = 3;
const STEPS = 400;
/** Of the messages, where bits flip. */
const FLIP_SHARE = 0.03;
const HISTORIES = Number(process.env["UPLINK_HISTORIES"] ?? 25);
const HISTORIES_LIVE_FIRST = Number(process.env["UPLINK_HISTORIES"] ?? 10);
const seedGiven = process.env["UPLINK_SEED"];
const firstSeed = seedGiven === undefined ? Date.now() % 1_000_000 : Number(seedGiven);

/** A record as the test knows it. */
type Accepted = { readonly number: number; readonly offset: number; isForgotten: boolean };

type Faults = {
  readonly overflow: boolean;
  readonly tailLoss: boolean;
  readonly refusals: boolean;
  /** Messages are turned away before they are stored. */
  readonly drops?: boolean;
  /** The hub is set back to an older state. */
  readonly hubRestores?: boolean;
  /** Bits of messages flip, in both directions, and nothing below notices. */
  readonly flips?: boolean;
  readonly acks: Acks;
  /** New records need not wait behind those of an outage. */
  readonly liveFirst?: boolean;
};

/** Resolves with how often a partition was divided. */
async function play(seed: number, faults: Faults): Promise<number> {
  const source = seededRandom(seed);
  const random = (): number => source.next();
  const poison = new Set<number>();
  let isCalm = false;
  const refusal = (numbers: readonly number[]): ErrorCode | undefined => {
    if (numbers.some((number) => poison.has(number))) return "INVALID_RECORD";
    if (!faults.refusals || isCalm || random() > 0.1) return undefined;
    return random() < 0.5 ? "LOG_FULL" : "CORRUPT_RECORD";
  };
  /** Up to three: a CRC-32C notices every one of them, so a history cannot fail by chance. */
  const damage = (message: Buffer): void => {
    if (isCalm || random() > FLIP_SHARE) return;
    for (let flips = 1 + Math.floor(random() * 3); flips > 0; flips--) {
      const bit = Math.floor(random() * message.length * 8);
      message[bit >> 3] = (message[bit >> 3] as number) ^ (1 << (bit & 7));
    }
  };
  const onTheWay = faults.flips === true ? { damage } : {};
  const world = new UplinkWorld({
    random,
    acksOf: () => faults.acks,
    refusal,
    catchUp: faults.liveFirst === true ? "live-first" : "in-order",
    ...onTheWay,
  });
  const { log } = world;
  log.createTopic(TOPIC, PARTITIONS);
  const partitions = Array.from({ length: PARTITIONS }, (_, index) => log.partition(TOPIC, index));
  const accepted = partitions.map((): Accepted[] => []);
  let lastNumber = 0;
  const dropped = partitions.map(() => 0);
  const drop = async ({ topic, partition, logEndOffset: at }: VirtualPartition): Promise<void> => {
    const { ledger } = world;
    const records = 1 + Math.floor(random() * 3);
    const { calls, apply } = ledger.planDrops([{ topic, partition, at, reason: "overflow", records }]);
    await log.call(calls);
    apply();
    dropped[partition] = (dropped[partition] ?? 0) + records;
  };
  const append = (partition: VirtualPartition): void => {
    const numbers = Array.from({ length: 1 + Math.floor(random() * 4) }, () => ++lastNumber);
    if (faults.refusals && random() < 0.02) poison.add(numbers[0] as number);
    const offset = log.append(partition, numbers);
    accepted[partition.partition]?.push(
      ...numbers.map((number, index) => ({ number, offset: offset + index, isForgotten: false })),
    );
  };
  const any = (): VirtualPartition => partitions[Math.floor(random() * PARTITIONS)] as VirtualPartition;

  await world.startAgent();
  for (let step = 0; step < STEPS; step++) {
    const chance = random();
    if (chance < 0.3) append(any());
    else if (chance < 0.85) await world.deliver();
    else if (chance < 0.9 && !world.isConnected) world.connect();
    else if (chance < 0.93) await world.cut();
    else if (chance < 0.95) world.fireTimers();
    else if (chance < 0.97 && faults.overflow) {
      const partition = any();
      const { logStartOffset, logEndOffset } = partition;
      await log.trim(partition, logStartOffset + Math.floor(random() * (logEndOffset - logStartOffset + 1)));
    } else if (chance > 0.985) {
      await world.cut();
      if (faults.tailLoss) {
        const partition = any();
        const gone = new Set(log.loseTail(partition, Math.floor(random() * 5)));
        for (const record of accepted[partition.partition] ?? [])
          if (gone.has(record.number)) record.isForgotten = true;
      }
      await world.startAgent();
    }
    if (faults.drops === true && random() < 0.1) await drop(any());
    if (faults.hubRestores === true && random() < 0.02) world.backUpHub();
    if (faults.hubRestores === true && random() < 0.01) await world.restoreHub();
    if (random() < 0.3) await settled();
  }
  isCalm = true;
  for (const partition of partitions) append(partition);
  await world.drain();
  // What a restored hub has forgotten of the ledger shows when it next says where it stands.
  for (let again = 0; again < 3; again++) {
    await world.cut();
    await world.drain();
  }
  for (const { partition } of partitions) {
    check(world, partition, accepted[partition] ?? [], faults);
    await checkBooks(world, partition, dropped[partition] ?? 0, faults);
  }
  return world.notes.filter((note) => note === DIVISION_NOTE).length;
}

/** G3: accepted = delivered + pending + dropped, and both sides count the same. */
async function checkBooks(world: UplinkWorld, partition: number, unstored: number, faults: Faults): Promise<void> {
  const { agent, hubAhead, hubStored, hubLost } = await world.books(partition);
  const { logEndOffset } = world.log.partition(TOPIC, partition);
  assert.equal(agent.accepted, logEndOffset + unstored, "accepted");
  assert.equal(
    agent.delivered + agent.pending + agent.dropped,
    agent.accepted,
    "accepted = delivered + pending + dropped",
  );
  assert.equal(agent.pending, 0, "nothing is pending after a drain");
  assert.equal(hubStored, world.stored(partition).length, "the hub counts what it holds");
  assert.equal(agent.delivered + hubAhead, hubStored, "delivered = stored at the hub");
  // A log that lost its tail gives offsets out again: what was declared of the first ones is not of this log any more.
  if (!faults.tailLoss) {
    assert.equal(hubAhead, 0, "no side lost anything in silence");
    assert.equal(agent.dropped, hubLost, "dropped = the hub's ledger");
  }
  // Where the offsets of the log and the hub's state both fell back, an alarm is right.
  if (!(faults.tailLoss && faults.hubRestores === true)) assert.deepEqual(world.differences, []);
}

function check(world: UplinkWorld, partition: number, accepted: readonly Accepted[], faults: Faults): void {
  const stored = world.stored(partition);
  for (const lane of world.storedByLane(partition)) {
    const inOrder = lane.every((number, index) => index === 0 || number > (lane[index - 1] as number));
    assert.ok(inOrder, `partition ${partition}: twice or out of order: ${lane.join(" ")}`);
  }
  assert.equal(new Set(stored).size, stored.length, `partition ${partition}: twice: ${stored.join(" ")}`);
  const held = new Set(stored);
  const gaps = world.losses.filter((loss) => loss.partition === partition);
  for (const { number, offset, isForgotten } of accepted) {
    const isDeclared = gaps.some(({ from, to }) => from <= offset && offset <= to);
    if (held.has(number)) {
      // After a loss of the tail an offset names two records.
      if (!faults.tailLoss) assert.ok(!isDeclared, `${number} arrived and is declared lost`);
    } else {
      assert.ok(isDeclared || isForgotten, `${number} at ${offset} of partition ${partition} is gone without a word`);
    }
  }
  const end = world.log.partition(TOPIC, partition).logEndOffset;
  assert.equal(world.core.settled(world.log.partition(TOPIC, partition).id), end, "everything is settled in the end");
}

const histories: { readonly name: string; readonly faults: Faults }[] = [
  { name: "cuts and restarts", faults: { overflow: false, tailLoss: false, refusals: false, acks: "all" } },
  { name: "a log that runs over", faults: { overflow: true, tailLoss: false, refusals: false, acks: "leader" } },
  {
    name: "messages turned away",
    faults: { overflow: true, tailLoss: false, refusals: false, drops: true, acks: "all" },
  },
  {
    name: "a hub that falls back to a backup",
    faults: { overflow: false, tailLoss: false, refusals: false, hubRestores: true, acks: "all" },
  },
  {
    name: "a hub that falls back, and a log that runs over",
    faults: { overflow: true, tailLoss: false, refusals: false, drops: true, hubRestores: true, acks: "all" },
  },
  { name: "a hub that refuses", faults: { overflow: false, tailLoss: false, refusals: true, acks: "all" } },
  { name: "a disk that forgets", faults: { overflow: false, tailLoss: true, refusals: false, acks: "all" } },
  {
    name: "everything at once",
    faults: { overflow: true, tailLoss: true, refusals: true, drops: true, hubRestores: true, acks: "all" },
  },
  {
    name: "bits that flip both ways",
    faults: { overflow: true, tailLoss: false, refusals: true, drops: true, flips: true, acks: "all" },
  },
  { name: "nobody waits for answers", faults: { overflow: false, tailLoss: false, refusals: false, acks: "none" } },
];

const liveFirst = histories.map(({ name, faults }) => ({
  name: `${name}, new records first`,
  faults: { ...faults, liveFirst: true },
}));

for (const { name, faults } of [...histories, ...liveFirst]) {
  test(`uplink: ${name} -> each record arrives once and in order, or is declared lost`, async (t) => {
    const count = faults.liveFirst === true ? HISTORIES_LIVE_FIRST : HISTORIES;
    const seeds =
      seedGiven === undefined ? Array.from({ length: count }, (_, index) => firstSeed + index) : [firstSeed];
    t.diagnostic(`UPLINK_SEED=${firstSeed}, ${seeds.length} histories`);
    let divisions = 0;
    for (const seed of seeds) {
      divisions += await play(seed, faults).catch((error: unknown) => {
        throw new Error(`UPLINK_SEED=${seed}`, { cause: error });
      });
    }
    t.diagnostic(`${divisions} divisions`);
    if (faults.liveFirst !== true) assert.equal(divisions, 0);
    // One history alone may have no outage that is long enough.
    else assert.ok(divisions >= seeds.length - 1, "partitions are divided");
  });
}
