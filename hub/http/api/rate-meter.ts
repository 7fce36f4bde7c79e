/**
 * How much is stored per second, by partition, over the last seconds. Looked at while somebody asks: each question takes a
 * sample if the last one is old enough, and a timer goes on taking them for as long as questions come.
 */
import type { Clock } from "../../../shared/clock.ts";
import type { Partition } from "../../../shared/ids.ts";
import type { Engine } from "../../engine/engine.ts";

/** Rates are over as long as this, or less where nobody has asked for so long. */
export const WINDOW_MS = 10_000;
const SAMPLE_MS = 2_000;
/** Nobody has asked for so long: no more samples. */
const UNASKED_MS = 60_000;

export type Rates = { readonly recordsPerSecond: number; readonly bytesPerSecond: number };

const noRates: Rates = { recordsPerSecond: 0, bytesPerSecond: 0 };

type Counted = { readonly end: number; readonly bytes: number };
type Sample = { readonly atMs: number; readonly counted: ReadonlyMap<string, readonly Counted[]> };

export class RateMeter {
  readonly #engine: Pick<Engine, "topics" | "offsets">;
  readonly #clock: Clock;
  /** The oldest first; all but the first are within the window. */
  #samples: Sample[] = [];
  #askedAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(engine: Pick<Engine, "topics" | "offsets">, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
  }

  /** Of one partition after the other. */
  ofPartitions(topic: string): readonly Rates[] {
    this.#asked();
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    const count = this.#engine.topics.get(topic)?.partitionCount ?? 0;
    return Array.from({ length: count }, (_, partition) => between(first, last, { topic, partition }));
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #asked(): void {
    this.#askedAtMs = this.#clock.monotonicMs();
    this.#timer ??= setInterval(() => this.#tick(), SAMPLE_MS).unref();
    this.#sample();
  }

  #tick(): void {
    if (this.#clock.monotonicMs() - this.#askedAtMs < UNASKED_MS) return this.#sample();
    this.#samples = [];
    this.close();
  }

  #sample(): void {
    const atMs = this.#clock.monotonicMs();
    const last = this.#samples.at(-1);
    if (last !== undefined && atMs - last.atMs < SAMPLE_MS) return;
    const counted = new Map<string, readonly Counted[]>();
    for (const { name: topic, partitionCount } of this.#engine.topics.values()) {
      counted.set(
        topic,
        Array.from({ length: partitionCount }, (_, partition) => {
          const { highWatermark: end, bytes } = this.#engine.offsets({ topic, partition });
          return { end, bytes };
        }),
      );
    }
    this.#samples.push({ atMs, counted });
    while ((this.#samples[1]?.atMs ?? atMs) < atMs - WINDOW_MS) this.#samples.shift();
  }
}

function between(
  first: Sample | undefined,
  last: Sample | undefined,
  { topic, partition }: { readonly topic: string; readonly partition: Partition },
): Rates {
  const from = first?.counted.get(topic)?.[partition];
  const to = last?.counted.get(topic)?.[partition];
  const seconds = ((last?.atMs ?? 0) - (first?.atMs ?? 0)) / 1000;
  if (from === undefined || to === undefined || seconds <= 0) return noRates;
  // Retention takes bytes away, and a topic may be a new one of the same name.
  const perSecond = (difference: number): number => Math.round((Math.max(0, difference) / seconds) * 10) / 10;
  return { recordsPerSecond: perSecond(to.end - from.end), bytesPerSecond: perSecond(to.bytes - from.bytes) };
}

export function sumOf(rates: readonly Rates[]): Rates {
  let [recordsPerSecond, bytesPerSecond] = [0, 0];
  for (const each of rates) {
    recordsPerSecond += each.recordsPerSecond;
    bytesPerSecond += each.bytesPerSecond;
  }
  return { recordsPerSecond, bytesPerSecond };
}
