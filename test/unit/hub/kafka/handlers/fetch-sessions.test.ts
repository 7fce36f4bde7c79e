/** Fetch within sessions, as a client sees it (KIP-227). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readBatchHeader } from "../../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../../shared/batch/records.ts";
import type { Authorizer } from "../../../../../hub/access/authorizer.ts";
import { Purgatory } from "../../../../../hub/engine/purgatory.ts";
import { fetchApi } from "../../../../../hub/kafka/schemas/records.ts";
import { ask, kafkaServices, testPeer } from "../../../../support/kafka-hub.ts";
import { settled, VirtualTimers } from "../../../../support/virtual-timers.ts";

type Asked = { readonly partition: number; readonly fetchOffset?: number; readonly partitionMaxBytes?: number };
type Request = {
  readonly sessionId?: number;
  readonly sessionEpoch?: number;
  readonly partitions?: readonly Asked[];
  readonly forgotten?: readonly number[];
  readonly maxWaitMs?: number;
  readonly maxBytes?: number;
};

const BY_NAME = 12;
const BY_ID = 17;

async function setUp({ partitionCount = 4, version = BY_NAME, authorizer }: Options = {}) {
  const timers = new VirtualTimers();
  const services = {
    ...kafkaServices({ clock: timers, purgatory: (engine) => new Purgatory(engine, timers) }),
    ...(authorizer === undefined ? {} : { authorizer }),
  };
  const { engine } = services;
  await engine.createTopic({ name: "t", partitionCount });
  const topicId = engine.topics.get("t")?.id ?? Buffer.alloc(16);
  const fetch = async (request: Request, user = "alice", speaking = version) => {
    const { sessionId = 0, sessionEpoch = 0, partitions = [], forgotten = [], maxWaitMs = 0, maxBytes = 1e6 } = request;
    const named = { topic: "t", topicId };
    const asked = partitions.map((each) => ({ fetchOffset: 0, partitionMaxBytes: 1e6, ...each }));
    const response = await ask(
      services,
      {
        api: fetchApi,
        version: speaking,
        request: {
          ...{ maxWaitMs, minBytes: 1, maxBytes, isolationLevel: 0, sessionId, sessionEpoch },
          topics: asked.length === 0 ? [] : [{ ...named, partitions: asked }],
          forgottenTopicsData: forgotten.length === 0 ? [] : [{ ...named, partitions: forgotten }],
        },
      },
      { ...testPeer(), principal: { name: user } },
    );
    assert.ok(response !== undefined);
    const { errorCode, responses } = response;
    return { errorCode, sessionId: response.sessionId, partitions: responses.flatMap((topic) => topic.partitions) };
  };
  const append = async (partition: number, valueBytes = 10): Promise<number> => {
    const batch = encodeRecords([{ timestamp: 0, key: null, value: Buffer.alloc(valueBytes) }]);
    await engine.append({ topic: "t", partition, batch, header: readBatchHeader(batch), durability: "fsync" });
    return batch.length;
  };
  return { services, engine, timers, fetch, append };
}

type Options = { readonly partitionCount?: number; readonly version?: number; readonly authorizer?: Authorizer };

const every = (count: number): Asked[] => Array.from({ length: count }, (_, partition) => ({ partition }));
const indexes = ({ partitions }: { readonly partitions: readonly { readonly partitionIndex: number }[] }) =>
  partitions.map(({ partitionIndex }) => partitionIndex);

for (const version of [7, 11, BY_NAME, 13, BY_ID]) {
  test(`version ${version}: the first answer names every partition, later ones only what is new`, async () => {
    const { fetch, append } = await setUp({ version });
    const opened = await fetch({ partitions: every(4) });
    assert.ok(opened.sessionId > 0);
    assert.deepEqual(indexes(opened), [0, 1, 2, 3]);
    const { sessionId } = opened;
    const idle = await fetch({ sessionId, sessionEpoch: 1 });
    assert.deepEqual([idle.errorCode, idle.sessionId, indexes(idle)], [0, sessionId, []]);
    await append(2);
    const grown = await fetch({ sessionId, sessionEpoch: 2 });
    assert.deepEqual(indexes(grown), [2]);
    assert.ok((grown.partitions[0]?.records?.length ?? 0) > 0);
    const read = await fetch({ sessionId, sessionEpoch: 3, partitions: [{ partition: 2, fetchOffset: 1 }] });
    assert.deepEqual(indexes(read), []);
  });
}

test("versions before 7 have no sessions", async () => {
  const { services, fetch } = await setUp({ version: 6 });
  assert.equal((await fetch({ partitions: every(2) })).sessionId, 0);
  assert.equal(services.fetchSessions.size, 0);
});

test("partitions come, change their offsets, and are forgotten", async () => {
  const { fetch, append } = await setUp();
  for (let partition = 0; partition < 4; partition++) await append(partition);
  const { sessionId } = await fetch({ partitions: [{ partition: 0, fetchOffset: 1 }] });
  const partitions = [{ partition: 1 }, { partition: 2, fetchOffset: 1 }];
  assert.deepEqual(indexes(await fetch({ sessionId, sessionEpoch: 1, partitions })), [1, 2]);
  const moved = [{ partition: 0, fetchOffset: 0 }];
  assert.deepEqual(indexes(await fetch({ sessionId, sessionEpoch: 2, partitions: moved, forgotten: [1] })), [0]);
});

test("busy partitions do not keep the bytes of an answer from the others", async () => {
  const { fetch, append } = await setUp();
  let bytes = 0;
  for (let partition = 0; partition < 3; partition++) bytes = await append(partition, 1000);
  const opened = await fetch({ partitions: every(3), maxBytes: bytes });
  const withRecords = (partitions: typeof opened.partitions) =>
    partitions.filter(({ records }) => (records?.length ?? 0) > 0).map(({ partitionIndex }) => partitionIndex);
  const served = [withRecords(opened.partitions)];
  for (let sessionEpoch = 1; sessionEpoch < 6; sessionEpoch++) {
    // The client never moves on, so every partition has records for it all the time.
    const { partitions } = await fetch({ sessionId: opened.sessionId, sessionEpoch, maxBytes: bytes });
    served.push(withRecords(partitions));
  }
  assert.deepEqual(served, [[0], [1], [2], [0], [1], [2]]);
});

test("an incremental fetch waits, and is answered with the one partition that grew", async () => {
  const { services, fetch, append } = await setUp({ partitionCount: 500 });
  const { sessionId } = await fetch({ partitions: every(500) });
  const fetched = fetch({ sessionId, sessionEpoch: 1, maxWaitMs: 5000 });
  await settled();
  assert.equal(services.purgatory.size, 1);
  await append(321);
  assert.deepEqual(indexes(await fetched), [321]);
});

test("errors of the session stand at the top of an answer without partitions", async () => {
  const { fetch } = await setUp();
  const { sessionId } = await fetch({ partitions: every(1) });
  const errors = [
    [await fetch({ sessionId, sessionEpoch: 5 }), 71],
    [await fetch({ sessionId: sessionId + 1, sessionEpoch: 1 }), 70],
    [await fetch({ sessionId, sessionEpoch: 1 }, "mallory"), 70],
    [await fetch({ sessionId, sessionEpoch: 1 }, "alice", BY_ID), 106],
  ] as const;
  for (const [answered, wire] of errors) {
    assert.deepEqual([answered.errorCode, answered.sessionId, answered.partitions], [wire, 0, []]);
  }
});

test("a session by ids does not go on with a topic of the same name that was created anew", async () => {
  const { engine, fetch, append } = await setUp({ version: BY_ID });
  await append(0);
  const { sessionId } = await fetch({ partitions: [{ partition: 0 }] });
  await engine.deleteTopic("t");
  await engine.createTopic({ name: "t", partitionCount: 1 });
  await append(0);
  for (const sessionEpoch of [1, 2]) {
    const [answered] = (await fetch({ sessionId, sessionEpoch, maxWaitMs: 5000 })).partitions;
    assert.deepEqual([answered?.errorCode, answered?.records?.length], [100, 0]);
  }
});

test("a permission that is withdrawn ends the reading within a session", async () => {
  let mayRead = true;
  const authorizer: Authorizer = { isEnabled: true, allows: () => mayRead, allowsSome: () => mayRead } as never;
  const { fetch, append } = await setUp({ authorizer });
  await append(0);
  const { sessionId } = await fetch({ partitions: [{ partition: 0 }] });
  mayRead = false;
  const [answered] = (await fetch({ sessionId, sessionEpoch: 1 })).partitions;
  assert.deepEqual([answered?.errorCode, answered?.records?.length], [29, 0]);
});

test("a fetch that waited loses its session to one that went on with it", async () => {
  const { fetch, append } = await setUp();
  const { sessionId } = await fetch({ partitions: every(2) });
  const waiting = fetch({ sessionId, sessionEpoch: 1, maxWaitMs: 5000 });
  await settled();
  await fetch({ sessionId, sessionEpoch: 2 });
  await append(0);
  assert.equal((await waiting).errorCode, 71);
});
