/**
 * Where long-polling Fetch requests wait ("purgatory" is Kafka's word) until enough bytes are committed, their time is
 * over, or nobody waits for the answer any more. An idle consumer costs nothing here: no polling, one timer.
 *
 *   engine.onChange ──▶ waiters of that partition count what it grew by ──▶ enough: ready
 *   end of the commit (microtask) ──▶ the ready ones wake, once, however many of their partitions changed
 *
 * It holds at most as many waiters as the listener has requests in flight.
 */
import { StreamError } from "../../shared/errors.ts";
import type { Offset, Partition } from "../../shared/ids.ts";
import type { Engine, PartitionOffsets, TopicPartition } from "./engine.ts";
import { systemTimers } from "../group/deadline-timers.ts";
import type { Timers } from "../group/deadline-timers.ts";

/** A partition that a waiter wants bytes of. */
export type Watched = TopicPartition & {
  /** Where the consumer stands. */
  readonly fetchOffset: Offset;
  /** The end of the log when the waiter last read: growth since then is not missed. */
  readonly highWatermark: Offset;
  /** How much growth of this partition counts; the rest would not fit into its answer. */
  readonly bytesRoom: number;
};

export type ParkRequest = {
  readonly partitions: readonly Watched[];
  /** Growth that ends the waiting. */
  readonly bytesMissing: number;
  readonly waitMs: number;
  readonly closed: AbortSignal;
};

/**
 * `enough`: what was missing has been committed. `changed`: look again, perhaps wait again. `expired`: answer with what
 * there is. `closed`: nobody reads the answer.
 */
export type WakeReason = "enough" | "changed" | "expired" | "closed";

type WatchState = Watched & { bytes: number; grown: number };

type Waiter = {
  readonly watches: readonly WatchState[];
  bytesMissing: number;
  /** Set once the waiter is to be woken at the end of this commit. */
  ready: "enough" | "changed" | undefined;
  readonly wake: (reason: WakeReason) => void;
};

type WatchEntry = { readonly waiter: Waiter; readonly watch: WatchState };

export class Purgatory {
  readonly #engine: Engine;
  readonly #timers: Timers;
  readonly #stopListening: () => void;
  readonly #waiting = new Set<Waiter>();
  readonly #byPartition = new Map<string, Map<Partition, Set<WatchEntry>>>();
  #ready: Waiter[] = [];
  #phase: "open" | "closed" = "open";

  constructor(engine: Engine, timers: Timers = systemTimers) {
    this.#engine = engine;
    this.#timers = timers;
    this.#stopListening = engine.onChange((at) => this.#changed(at));
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Resolves when there is a reason to look at the partitions again, or to stop waiting. */
  park(request: ParkRequest): Promise<WakeReason> {
    if (this.#phase === "closed") return Promise.resolve("expired");
    if (request.closed.aborted) return Promise.resolve("closed");
    return new Promise((resolve) => {
      const onClosed = (): void => waiter.wake("closed");
      const entries: WatchEntry[] = [];
      const wake = (reason: WakeReason): void => {
        if (!this.#waiting.delete(waiter)) return;
        timer.cancel();
        request.closed.removeEventListener("abort", onClosed);
        for (const entry of entries) this.#unwatch(entry);
        resolve(reason);
      };
      const watches = request.partitions.map((watched) => ({ ...watched, bytes: 0, grown: 0 }));
      const waiter: Waiter = { watches, bytesMissing: request.bytesMissing, ready: undefined, wake };
      for (const watch of watches) {
        const entry = { waiter, watch };
        entries.push(entry);
        this.#watch(entry);
      }
      this.#waiting.add(waiter);
      request.closed.addEventListener("abort", onClosed, { once: true });
      const timer = this.#timers.start(request.waitMs, () => wake("expired"));
      for (const watch of watches) this.#begin(waiter, watch);
    });
  }

  /** Ends all waiting: every parked Fetch is answered with what there is. */
  close(): void {
    this.#phase = "closed";
    this.#stopListening();
    for (const waiter of this.#waiting) waiter.wake("expired");
  }

  /** The log may have moved between the waiter's read and now; that change will not be told again. */
  #begin(waiter: Waiter, watch: WatchState): void {
    const offsets = this.#offsets(watch);
    if (offsets === undefined || offsets.highWatermark !== watch.highWatermark) {
      return this.#markReady(waiter, "changed");
    }
    watch.bytes = offsets.bytes;
  }

  #changed({ topic, partition }: TopicPartition): void {
    const entries = this.#byPartition.get(topic)?.get(partition);
    if (entries === undefined) return;
    const offsets = this.#offsets({ topic, partition });
    for (const { waiter, watch } of entries) {
      if (waiter.ready !== undefined) continue;
      // A deleted partition, or one whose head was taken from under the consumer: the answer is an error, at once.
      if (offsets === undefined || watch.fetchOffset < offsets.logStartOffset) this.#markReady(waiter, "changed");
      else if (offsets.highWatermark > watch.highWatermark) this.#grew(waiter, watch, offsets);
    }
  }

  /** Retention may take bytes in the same moment, so an append counts as one byte at the least. */
  #grew(waiter: Waiter, watch: WatchState, offsets: PartitionOffsets): void {
    const counted = Math.min(watch.bytesRoom, watch.grown + Math.max(1, offsets.bytes - watch.bytes));
    waiter.bytesMissing -= counted - watch.grown;
    watch.grown = counted;
    watch.bytes = offsets.bytes;
    if (waiter.bytesMissing <= 0) this.#markReady(waiter, "enough");
  }

  #offsets(at: TopicPartition): PartitionOffsets | undefined {
    try {
      return this.#engine.offsets(at);
    } catch (error) {
      // The partition is gone: that is an answer here.
      if (error instanceof StreamError) return undefined;
      throw error;
    }
  }

  #markReady(waiter: Waiter, ready: "enough" | "changed"): void {
    if (waiter.ready !== undefined) return;
    waiter.ready = ready;
    if (this.#ready.length === 0) queueMicrotask(() => this.#wakeReady());
    this.#ready.push(waiter);
  }

  #wakeReady(): void {
    const ready = this.#ready;
    this.#ready = [];
    for (const waiter of ready) waiter.wake(waiter.ready ?? "changed");
  }

  #watch(entry: WatchEntry): void {
    const { topic, partition } = entry.watch;
    let partitions = this.#byPartition.get(topic);
    if (partitions === undefined) {
      partitions = new Map();
      this.#byPartition.set(topic, partitions);
    }
    const entries = partitions.get(partition);
    if (entries === undefined) partitions.set(partition, new Set([entry]));
    else entries.add(entry);
  }

  #unwatch(entry: WatchEntry): void {
    const { topic, partition } = entry.watch;
    const partitions = this.#byPartition.get(topic);
    const entries = partitions?.get(partition);
    if (partitions === undefined || entries === undefined) return;
    entries.delete(entry);
    if (entries.size > 0) return;
    partitions.delete(partition);
    if (partitions.size === 0) this.#byPartition.delete(topic);
  }
}
