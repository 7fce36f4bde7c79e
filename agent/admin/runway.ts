/**
 * How long the log will last: hours until its byte cap at the present rate, once as things are (the uplink may be
 * draining it) and once as if the uplink went down now. Pure: sizes in, hours out.
 */

/** The log at one moment. */
export type LogSample = {
  /** Of a clock that never jumps. */
  readonly atMs: number;
  readonly usedBytes: number;
  /** Records that take up `usedBytes`. */
  readonly storedRecords: number;
  /** Records ever appended. */
  readonly appendedRecords: number;
};

export type Runway = {
  /** Null while the log does not grow. */
  readonly hours: number | null;
  /** Null while nothing comes in, or nothing is known of the size of records yet. */
  readonly hoursIfOffline: number | null;
};

/** Samples are kept this far apart, and as many of them: the present rate is that of the last five minutes. */
export const RUNWAY_SAMPLE_MS = 10_000;
const SAMPLE_COUNT_MAX = 31;
const HOUR_MS = 3_600_000;

export class RunwayMeter {
  readonly #samples: LogSample[] = [];
  #bytesPerRecord: number | undefined;

  /** Whether the next sample is due. */
  isDue(atMs: number): boolean {
    const last = this.#samples.at(-1);
    return last === undefined || atMs - last.atMs >= RUNWAY_SAMPLE_MS;
  }

  add(sample: LogSample): void {
    this.#learn(sample);
    if (!this.isDue(sample.atMs)) return;
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLE_COUNT_MAX) this.#samples.shift();
  }

  /** `now` is the log as it is. */
  estimate(now: LogSample, capBytes: number): Runway {
    this.#learn(now);
    const first = this.#samples[0];
    const elapsedMs = first === undefined ? 0 : now.atMs - first.atMs;
    if (first === undefined || elapsedMs <= 0) return { hours: null, hoursIfOffline: null };
    const freeBytes = Math.max(0, capBytes - now.usedBytes);
    const grownBytes = now.usedBytes - first.usedBytes;
    const appendedBytes = (now.appendedRecords - first.appendedRecords) * (this.#bytesPerRecord ?? 0);
    return {
      hours: hours(freeBytes, grownBytes, elapsedMs),
      hoursIfOffline: hours(freeBytes, appendedBytes, elapsedMs),
    };
  }

  /** An empty log says nothing about the size of records; what it said before still holds. */
  #learn({ usedBytes, storedRecords }: LogSample): void {
    if (storedRecords > 0 && usedBytes > 0) this.#bytesPerRecord = usedBytes / storedRecords;
  }
}

function hours(freeBytes: number, bytes: number, elapsedMs: number): number | null {
  return bytes > 0 ? (freeBytes * elapsedMs) / bytes / HOUR_MS : null;
}
