/**
 * What the log knows of producers: on the disk beside their batches, those of late in memory too. States move with the
 * commit: what the open transaction has changed is staged, and takes effect when it is committed.
 *
 * An agent may be away for months and goes on where the log says it stood, so its states stay for good. A Kafka client
 * takes a new id whenever it starts; its states go when nothing was heard of it for PRODUCER_EXPIRY_MS.
 */
import type { Database, Statement } from "better-sqlite3";
import type { ProducerId, Timestamp } from "../ids.ts";
import type { LogClock } from "./log-clock.ts";
import type { ProducerState } from "./producer-state.ts";

/** In memory; beyond it the one that was used longest ago is read from the disk when it comes again. */
export const PRODUCERS_CACHED_MAX = 10_000;
/** By the log's clock. Kafka's default of `producer.id.expiration.ms`. */
export const PRODUCER_EXPIRY_MS = 86_400_000;
/** One step of the search for what has expired looks at so many states. */
const EXPIRE_ROWS_MAX = 5000;

type Key = { readonly partition_id: bigint; readonly producer_id: bigint };

/** `isKept`: for good. `now`: what people see as the time of the last batch. */
export type Produced = { readonly state: ProducerState; readonly isKept: boolean; readonly now: Timestamp };

const START: Key = { partition_id: -1n, producer_id: 0n };

export class ProducerStates {
  readonly #clock: LogClock;
  /** The one used longest ago first. */
  readonly #cached = new Map<string, ProducerState>();
  #staged = new Map<string, ProducerState>();
  /** Up to here the search for what has expired has come. */
  #searched = START;
  readonly #read: Statement<[number, bigint], { state: string }>;
  readonly #save: Statement<[number, bigint, string, Timestamp, Timestamp, number]>;
  readonly #removeAll: Statement<[number]>;
  readonly #stepEnd: Statement<[bigint, bigint, number], Key>;
  readonly #expireTo: Statement<[Key & { end_partition: bigint; end_producer: bigint; before: Timestamp }], Key>;
  readonly #expireRest: Statement<[Key & { before: Timestamp }], Key>;

  constructor(database: Database, clock: LogClock) {
    this.#clock = clock;
    this.#read = database.prepare("SELECT state FROM producer WHERE partition_id = ? AND producer_id = ?");
    this.#save = database.prepare(
      `INSERT INTO producer (partition_id, producer_id, state, updated_at, heard_at, is_kept) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at,
       heard_at = excluded.heard_at, is_kept = MAX(is_kept, excluded.is_kept)`,
    );
    this.#removeAll = database.prepare("DELETE FROM producer WHERE partition_id = ?");
    this.#stepEnd = database.prepare(
      `SELECT partition_id, producer_id FROM producer WHERE (partition_id, producer_id) > (?, ?)
       ORDER BY partition_id, producer_id LIMIT 1 OFFSET ?`,
    );
    const expire = `DELETE FROM producer WHERE (partition_id, producer_id) > (@partition_id, @producer_id)
       AND is_kept = 0 AND heard_at < @before`;
    const removed = "RETURNING partition_id, producer_id";
    this.#expireTo = database.prepare(
      `${expire} AND (partition_id, producer_id) <= (@end_partition, @end_producer) ${removed}`,
    );
    this.#expireRest = database.prepare(`${expire} ${removed}`);
    for (const statement of [this.#stepEnd, this.#expireTo, this.#expireRest]) statement.safeIntegers();
  }

  get cachedCount(): number {
    return this.#cached.size;
  }

  get(partitionId: number, producerId: ProducerId): ProducerState | undefined {
    const key = keyOf(partitionId, producerId);
    const staged = this.#staged.get(key);
    if (staged !== undefined) return staged;
    const cached = this.#cached.get(key);
    if (cached !== undefined) return cached;
    const row = this.#read.get(partitionId, producerId);
    if (row === undefined) return undefined;
    const state = JSON.parse(row.state) as ProducerState;
    this.#cache(key, state);
    return state;
  }

  /** Within the transaction of the batch. */
  save(partitionId: number, producerId: ProducerId, { state, isKept, now }: Produced): void {
    this.#save.run(
      ...([partitionId, producerId, JSON.stringify(state), now, this.#clock.now(), isKept ? 1 : 0] as const),
    );
    this.#staged.set(keyOf(partitionId, producerId), state);
  }

  forget(partitionId: number): void {
    this.#removeAll.run(partitionId);
  }

  /** After the commit. */
  settle(): void {
    for (const [key, state] of this.#staged) this.#cache(key, state);
    this.#staged = new Map();
  }

  discard(): void {
    this.#staged = new Map();
  }

  /** One step through all states, within a transaction. */
  expire(): void {
    this.#clock.saveWhenDue();
    const before = this.#clock.now() - PRODUCER_EXPIRY_MS;
    const from = this.#searched;
    const end = this.#stepEnd.get(from.partition_id, from.producer_id, EXPIRE_ROWS_MAX - 1);
    const removed =
      end === undefined
        ? this.#expireRest.all({ ...from, before })
        : this.#expireTo.all({ ...from, end_partition: end.partition_id, end_producer: end.producer_id, before });
    // If the transaction is taken back, the states are read again.
    for (const { partition_id: id, producer_id: producerId } of removed)
      this.#cached.delete(keyOf(Number(id), producerId));
    this.#searched = end ?? START;
  }

  #cache(key: string, state: ProducerState): void {
    this.#cached.delete(key);
    this.#cached.set(key, state);
    if (this.#cached.size <= PRODUCERS_CACHED_MAX) return;
    const [oldest] = this.#cached.keys();
    if (oldest !== undefined) this.#cached.delete(oldest);
  }
}

function keyOf(partitionId: number, producerId: ProducerId): string {
  return `${partitionId}:${producerId}`;
}
