/** A client as KIP-227 wants it, against sessions that are evicted and partitions that come and go: nothing is missed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../../bin/demo/random.ts";
import { readBatchHeader, splitBatches } from "../../../../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../../../../shared/batch/records.ts";
import { fetchApi } from "../../../../../hub/kafka/schemas/records.ts";
import { answer, kafkaServices } from "../../../../support/kafka-hub.ts";
import { VirtualTimers } from "../../../../support/virtual-timers.ts";

const PARTITIONS = 6;
const IDLE_MS = 100;

/** Keeps what it has told the hub, and sends only what differs from it. */
class SessionClient {
  readonly #services: ReturnType<typeof kafkaServices>;
  readonly #topicId: Buffer;
  readonly positions = new Map<number, number>();
  /** The end of each partition, as far as this client was told. */
  readonly ends = new Map<number, number>();
  #told = new Map<number, number>();
  #sessionId = 0;
  #epoch = 0;
  sessionsLost = 0;

  constructor(services: ReturnType<typeof kafkaServices>, topicId: Buffer) {
    this.#services = services;
    this.#topicId = topicId;
  }

  async fetch(maxBytes: number): Promise<void> {
    const wanted = Array.from(this.positions).filter(
      ([partition, offset]) => this.#epoch === 0 || this.#told.get(partition) !== offset,
    );
    const forgotten =
      this.#epoch === 0 ? [] : Array.from(this.#told.keys()).filter((partition) => !this.positions.has(partition));
    const partitions = wanted.map(([partition, fetchOffset]) => ({
      partition,
      fetchOffset,
      partitionMaxBytes: maxBytes,
    }));
    const topicId = this.#topicId;
    const request = {
      ...{ maxWaitMs: 0, minBytes: 1, maxBytes, isolationLevel: 0 },
      ...{ sessionId: this.#sessionId, sessionEpoch: this.#epoch },
      topics: partitions.length === 0 ? [] : [{ topicId, partitions }],
      forgottenTopicsData: forgotten.length === 0 ? [] : [{ topicId, partitions: forgotten }],
    };
    const response = await answer(this.#services, { api: fetchApi, version: 17, request });
    if (response.errorCode !== 0) {
      assert.equal(response.errorCode, 70);
      this.sessionsLost++;
      this.#epoch = 0;
      return;
    }
    this.#told = new Map(this.positions);
    this.#sessionId = response.sessionId;
    this.#epoch = response.sessionId === 0 ? 0 : this.#epoch + 1;
    for (const each of response.responses.flatMap((topic) => topic.partitions)) this.#take(each);
  }

  #take({ partitionIndex, errorCode, highWatermark, records }: Answered): void {
    assert.equal(errorCode, 0);
    this.ends.set(partitionIndex, highWatermark);
    let position = this.positions.get(partitionIndex);
    assert.ok(position !== undefined, "only what was asked for is answered");
    for (const batch of splitBatches(records ?? Buffer.alloc(0))) {
      const { baseOffset, lastOffsetDelta } = readBatchHeader(batch);
      assert.equal(baseOffset, position, "no record twice, none left out");
      position = baseOffset + lastOffsetDelta + 1;
    }
    this.positions.set(partitionIndex, position);
  }
}

type Answered = {
  readonly partitionIndex: number;
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly records: Buffer | null;
};

async function play(seed: number): Promise<number> {
  const random = seededRandom(seed);
  const below = (end: number): number => Math.floor(random.between(0, end));
  const clock = new VirtualTimers();
  const services = kafkaServices({ clock, options: { fetchSessionsMax: 2, fetchSessionIdleMs: IDLE_MS } });
  const { engine } = services;
  const { id } = await engine.createTopic({ name: "t", partitionCount: PARTITIONS });
  const clients = Array.from({ length: 3 }, () => new SessionClient(services, id));
  const any = (): SessionClient => clients[below(clients.length)] as SessionClient;
  /** Where a client was in the partitions that it does not read at present. */
  const left = new Map(clients.map((client) => [client, new Map<number, number>()]));
  const actions: readonly (() => Promise<unknown>)[] = [
    async () => {
      const records = Array.from({ length: 1 + below(3) }, () => ({
        timestamp: 0,
        key: null,
        value: Buffer.alloc(below(300)),
      }));
      const batch = encodeRecords(records);
      const at = { topic: "t", partition: below(PARTITIONS) };
      await engine.append({ ...at, batch, header: readBatchHeader(batch), durability: "fsync" });
    },
    () => any().fetch(200 + below(2000)),
    () => any().fetch(200 + below(2000)),
    async () => {
      const client = any();
      const partition = below(PARTITIONS);
      const before = left.get(client);
      const position = client.positions.get(partition);
      if (position === undefined) client.positions.set(partition, before?.get(partition) ?? 0);
      else before?.set(partition, position);
      if (position !== undefined) client.positions.delete(partition);
    },
    () => clock.advance(below(IDLE_MS)),
  ];
  for (let step = 0; step < 400; step++) await actions[below(actions.length)]?.();
  for (const client of clients) {
    // One answer may hold as little as one batch.
    for (let round = 0; round < 400; round++) await client.fetch(2000);
    for (const [partition, position] of client.positions) {
      const { highWatermark } = engine.offsets({ topic: "t", partition });
      assert.deepEqual(
        [position, client.ends.get(partition)],
        [highWatermark, highWatermark],
        `partition ${partition}`,
      );
    }
  }
  return clients.reduce((sum, { sessionsLost }) => sum + sessionsLost, 0);
}

test("clients that come and go read every record once, whatever becomes of their sessions", async (t) => {
  const first = Date.now() % 1_000_000;
  t.diagnostic(`seeds ${first} to ${first + 9}`);
  let sessionsLost = 0;
  for (let seed = first; seed < first + 10; seed++) {
    try {
      sessionsLost += await play(seed);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
  assert.ok(sessionsLost > 0, "sessions had to make room for others");
});
