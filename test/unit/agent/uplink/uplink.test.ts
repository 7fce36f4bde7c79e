import assert from "node:assert/strict";
import test from "node:test";
import { EPOCH_EXTENSION } from "../../../../agent/uplink/epoch-table.ts";
import type { AdoptChange } from "../../../../agent/uplink/epoch-table.ts";
import { PRODUCER_EPOCH_MAX, UPLINK_ASK_PARTITIONS_MAX } from "../../../../shared/uplink/frames.ts";
import type { ErrorCode } from "../../../../shared/errors.ts";
import { TOPIC, UplinkWorld } from "../../../support/uplink-world.ts";
import type { WorldOptions } from "../../../support/uplink-world.ts";
import { settled } from "../../../support/virtual-timers.ts";

async function startWorld(options: Partial<WorldOptions> = {}, partitionCount = 1): Promise<UplinkWorld> {
  const world = new UplinkWorld({ random: () => 0.5, acksOf: () => "all", ...options });
  world.log.createTopic(TOPIC, partitionCount);
  await world.startAgent();
  return world;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);

const declared = ({ losses }: UplinkWorld): string[] => losses.map(({ from, to, reason }) => `${from}-${to} ${reason}`);

test("uplink: what is committed while connected is sent without waiting", async () => {
  const world = await startWorld();
  world.connect();
  await world.drain();
  world.log.append(world.log.partition(TOPIC, 0), [1, 2]);
  await settled();
  assert.equal(world.core.inFlightCount, 1);
  await world.drain();
  assert.deepEqual(world.stored(0), [1, 2]);
});

test("uplink: one batch only until the first of a connection is acknowledged, then up to five", async () => {
  const world = await startWorld();
  const partition = world.log.partition(TOPIC, 0);
  for (let at = 0; at < 30; at++) world.log.append(partition, range(at * 50 + 1, at * 50 + 50));
  world.engine.holdCommits();
  world.connect();
  for (let step = 0; step < 20; step++) {
    await world.deliver();
    await settled();
  }
  assert.equal(world.core.inFlightCount, 1);
  world.engine.releaseCommits();
  await settled();
  world.engine.holdCommits();
  for (let step = 0; step < 60; step++) {
    await world.deliver();
    await settled();
  }
  assert.ok(world.core.inFlightCount > 1);
  assert.ok(world.core.inFlightCount <= 5);
  world.engine.releaseCommits();
  await world.drain();
  assert.deepEqual(world.stored(0), range(1, 1500));
});

test("uplink: a topic made after the hello is announced and delivered", async () => {
  const world = await startWorld();
  world.connect();
  await world.drain();
  world.log.createTopic("later", 2);
  const partition = world.log.partition("later", 1);
  world.log.append(partition, [7]);
  await world.drain();
  assert.equal(world.engine.topics.get("later")?.partitionCount, 2);
  assert.equal(world.core.settled(partition.id), 1);
});

test("uplink: a stored batch the hub will never take is declared lost, alone", async () => {
  const refusal = (numbers: readonly number[]): ErrorCode | undefined =>
    numbers.includes(5) ? "INVALID_RECORD" : undefined;
  const world = await startWorld({ refusal });
  const partition = world.log.partition(TOPIC, 0);
  for (const numbers of [[1, 2], [3], [4, 5, 6], [7], [8, 9]]) world.log.append(partition, numbers);
  await world.drain();
  assert.deepEqual(world.stored(0), [1, 2, 3, 7, 8, 9]);
  assert.deepEqual(declared(world), ["3-5 corrupt"]);
});

test("uplink: a batch that is too large for the hub is declared as oversized", async () => {
  const refusal = (numbers: readonly number[]): ErrorCode | undefined =>
    numbers.includes(2) ? "MESSAGE_TOO_LARGE" : undefined;
  const world = await startWorld({ refusal });
  for (const numbers of [[1], [2], [3]]) world.log.append(world.log.partition(TOPIC, 0), numbers);
  await world.drain();
  assert.deepEqual(world.stored(0), [1, 3]);
  assert.deepEqual(declared(world), ["1-1 oversized"]);
});

for (const code of ["LOG_FULL", "POLICY_VIOLATION", "UNEXPECTED"] as const) {
  test(`uplink: a hub that answers ${code} gets the batch again, nothing is dropped`, async () => {
    let refusals = 3;
    const world = await startWorld({ refusal: () => (refusals-- > 0 ? code : undefined) });
    for (const numbers of [[1], [2], [3]]) world.log.append(world.log.partition(TOPIC, 0), numbers);
    await world.drain();
    assert.deepEqual(world.stored(0), [1, 2, 3]);
    assert.deepEqual(declared(world), []);
  });
}

test("uplink: a damaged stored batch is declared lost and the rest arrives", async () => {
  const world = await startWorld();
  const partition = world.log.partition(TOPIC, 0);
  for (const numbers of [[1], [2, 3], [4], [5]])
    world.log.append(partition, numbers, numbers.includes(2) || numbers.includes(5));
  await world.drain();
  assert.deepEqual(world.stored(0), [1, 4]);
  assert.deepEqual(declared(world), ["1-2 corrupt", "4-4 corrupt"]);
});

test("uplink: a log that takes no writes is sent as far as no new epoch is needed, and goes on from there when it does", async () => {
  const world = await startWorld({}, 3);
  const [used, damaged, late] = [0, 1, 2].map((each) => world.log.partition(TOPIC, each));
  world.log.append(used!, [1]);
  world.log.append(damaged!, [2]);
  await world.drain();
  await world.cut();
  world.log.append(used!, [3]);
  for (const number of [4, 5, 6]) world.log.append(damaged!, [number], number === 5);
  world.log.createTopic("late", 1);
  world.log.append(world.log.partition("late", 0), [7]);
  await world.startAgent({ isLogReadOnly: true });
  await world.drain();
  assert.deepEqual([world.stored(0), world.stored(1), world.stored(0, "late")], [[1, 3], [2, 4], []]);
  assert.deepEqual(declared(world), []);
  assert.equal(world.notes.filter((note) => note.includes("takes no writes")).length, 2);
  await world.startAgent();
  world.log.append(late!, [8]);
  await world.drain();
  assert.deepEqual([world.stored(0), world.stored(1), world.stored(2)], [[1, 3], [2, 4, 6], [8]]);
  assert.deepEqual(world.stored(0, "late"), [7]);
  assert.deepEqual(declared(world), ["2-2 corrupt"]);
});

test("uplink: a hub that fell back to before it heard of a partition is told of its losses again", async () => {
  const world = await startWorld();
  const partition = world.log.partition(TOPIC, 0);
  await world.drain();
  world.backUpHub();
  await world.cut();
  world.log.append(partition, [1, 2, 3]);
  await world.log.trim(partition, 1);
  await world.drain();
  assert.deepEqual(declared(world), ["0-0 overflow"]);
  // Nothing is left of it: all that came was delivered.
  await world.log.trim(partition, 3);
  await world.restoreHub();
  assert.deepEqual(declared(world), []);
  await world.drain();
  assert.deepEqual(declared(world).toSorted(), ["0-0 overflow", "1-2 rewound"]);
});

test("uplink: a topic deleted at the hub is made again and what the log still has is delivered", async () => {
  const world = await startWorld();
  const partition = world.log.partition(TOPIC, 0);
  world.log.append(partition, [1, 2]);
  await world.drain();
  await world.log.trim(partition, 2);
  await world.engine.deleteTopic(TOPIC);
  world.log.append(partition, [3]);
  await world.drain();
  assert.deepEqual(world.stored(0), [3]);
  assert.deepEqual(declared(world), ["0-1 rewound"]);
});

test("uplink: a restored image of the agent never re-uses a sequence for another record", async () => {
  const world = await startWorld();
  const partition = world.log.partition(TOPIC, 0);
  world.log.append(partition, [1, 2]);
  await world.drain();
  const image = world.log.takeImage();
  world.log.append(partition, [3, 4, 5]);
  await world.drain();
  await world.cut();
  world.log.restore(image);
  await world.startAgent();
  // Written before the hub is heard, on offsets that it has already; and another start in between.
  world.log.append(partition, [6, 7]);
  await world.startAgent();
  world.log.append(partition, [8, 9]);
  await world.drain();
  assert.deepEqual(world.stored(0), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(declared(world), []);
});

test("uplink: an image from before the last epoch takes an epoch above the hub's", async () => {
  const world = await startWorld();
  const partition = world.log.partition(TOPIC, 0);
  world.log.append(partition, [1, 2]);
  await world.drain();
  const image = world.log.takeImage();
  await world.cut();
  world.log.append(partition, [3, 4]);
  await world.log.trim(partition, 3);
  await world.drain();
  assert.deepEqual(declared(world), ["2-2 overflow"]);
  await world.cut();
  world.log.restore(image);
  await world.startAgent();
  world.log.append(partition, [5]);
  await world.drain();
  assert.deepEqual(world.stored(0), [1, 2, 4, 5]);
  assert.ok(world.notes.some((note) => note.includes("a newer epoch")));
});

test("uplink: when the epochs are used up, a new producer id goes on without a gap or a duplicate", async () => {
  const world = await startWorld({}, 2);
  const partition = world.log.partition(TOPIC, 0);
  const other = world.log.partition(TOPIC, 1);
  world.log.append(partition, [1, 2]);
  world.log.append(other, [101]);
  await world.drain();
  await world.cut();
  const { producerId } = world;
  const change: AdoptChange = {
    laneId: partition.id,
    topic: TOPIC,
    partition: 0,
    settled: 2,
    newEpoch: { epoch: PRODUCER_EPOCH_MAX, firstOffset: 2, previousEnd: 2 },
    forgottenEpoch: undefined,
    gaps: [],
    epoch: PRODUCER_EPOCH_MAX,
    own: [{ start: 0, end: Infinity }],
    windows: undefined,
    recount: undefined,
  };
  await world.log.call([{ extension: EPOCH_EXTENSION, method: "adopt", args: [change] }]);
  await world.startAgent();
  world.log.append(partition, [3]);
  world.log.append(other, [102]);
  await world.drain();
  assert.equal(world.producerId, producerId);
  world.log.append(partition, [4], true);
  world.log.append(partition, [5]);
  world.log.append(other, [103]);
  await world.drain();
  assert.notEqual(world.producerId, producerId);
  assert.deepEqual(world.stored(0), [1, 2, 3, 5]);
  assert.deepEqual(world.stored(1), [101, 102, 103]);
  assert.deepEqual(declared(world), ["3-3 corrupt"]);
});

test("uplink: an epoch that cannot be written down is not used", async () => {
  const world = await startWorld();
  world.log.append(world.log.partition(TOPIC, 0), [1]);
  world.log.callFailure = new Error("disk full");
  world.connect();
  for (let step = 0; step < 10; step++) {
    await world.deliver();
    await settled();
  }
  assert.equal(world.engine.appends.length, 0);
  assert.equal(world.isConnected, false);
  world.log.callFailure = undefined;
  await world.drain();
  assert.deepEqual(world.stored(0), [1]);
});

test("uplink: a lower priority goes only when a higher one has nothing to send", async () => {
  const world = await startWorld();
  const order: string[] = [];
  const { ReadyLanes } = await import("../../../../agent/uplink/ready-lanes.ts");
  const { wholePartition } = await import("../../../../agent/uplink/windows.ts");
  const { newLane } = await import("../../../../agent/uplink/lane.ts");
  const ready = new ReadyLanes();
  const lane = (partition: number, priority: number) =>
    newLane({
      family: {
        base: { id: partition, topic: TOPIC, partition, logStartOffset: 0, logEndOffset: 1, bytes: 1 },
        catchUp: "in-order",
        windows: [],
        lanes: [],
        division: undefined,
      },
      window: wholePartition,
      acks: "all",
      priority,
      memory: undefined,
      gaps: [],
    });
  for (const each of [lane(1, 0), lane(2, 5), lane(3, 0), lane(4, 5)]) ready.add(each);
  for (let each = ready.take(); each !== undefined; each = ready.take()) order.push(String(each.source.id));
  assert.deepEqual(order, ["2", "4", "1", "3"]);
  await world.cut();
});

test("uplink: more gaps than may be declared at once are all declared", async () => {
  const partitionCount = 130;
  const world = await startWorld({}, partitionCount);
  for (let index = 0; index < partitionCount; index++) {
    const partition = world.log.partition(TOPIC, index);
    world.log.append(partition, [index + 1]);
    world.log.append(partition, [index + 1001]);
    await world.log.trim(partition, 1);
  }
  await world.drain();
  assert.equal(world.losses.length, partitionCount);
  for (let index = 0; index < partitionCount; index++) assert.deepEqual(world.stored(index), [index + 1001]);
});

test("uplink: more partitions than one answer can tell of are asked for in several, and all are delivered", async () => {
  const world = await startWorld({}, 1);
  const topics = ["many-a", "many-b", "many-c"];
  for (const topic of topics) world.log.createTopic(topic, UPLINK_ASK_PARTITIONS_MAX / 2);
  const last = UPLINK_ASK_PARTITIONS_MAX / 2 - 1;
  for (const [i, topic] of topics.entries()) world.log.append(world.log.partition(topic, last), [i + 1]);
  world.connect();
  await world.drain();
  for (const topic of topics) {
    assert.equal(world.engine.topics.get(topic)?.partitionCount, UPLINK_ASK_PARTITIONS_MAX / 2);
    assert.equal(world.core.settled(world.log.partition(topic, last).id), 1, topic);
  }
});

test("uplink: epochs that are used up in a partition of a later page are renewed with all of them known", async () => {
  const world = await startWorld({}, 1);
  for (const topic of ["many-a", "many-b"]) world.log.createTopic(topic, UPLINK_ASK_PARTITIONS_MAX);
  const parts = [TOPIC, "many-a", "many-b"].map((topic) => world.log.partition(topic, 0));
  for (const [i, partition] of parts.entries()) world.log.append(partition, [i * 100 + 1, i * 100 + 2]);
  world.connect();
  await world.drain();
  await world.cut();
  const [, , late] = parts;
  assert.ok(late !== undefined);
  const change: AdoptChange = {
    laneId: late.id,
    topic: late.topic,
    partition: 0,
    settled: 2,
    newEpoch: { epoch: PRODUCER_EPOCH_MAX, firstOffset: 2, previousEnd: 2 },
    forgottenEpoch: undefined,
    gaps: [],
    epoch: PRODUCER_EPOCH_MAX,
    own: [{ start: 0, end: Infinity }],
    windows: undefined,
    recount: undefined,
  };
  await world.log.call([{ extension: EPOCH_EXTENSION, method: "adopt", args: [change] }]);
  await world.startAgent();
  const { producerId } = world;
  world.log.append(late, [203], true);
  for (const [i, partition] of parts.entries()) world.log.append(partition, [i * 100 + 4]);
  world.connect();
  await world.drain();
  assert.notEqual(world.producerId, producerId);
  assert.deepEqual(
    parts.map(({ topic }) => world.stored(0, topic)),
    [
      [1, 2, 4],
      [101, 102, 104],
      [201, 202, 204],
    ],
  );
  assert.deepEqual(declared(world), ["2-2 corrupt"]);
});
