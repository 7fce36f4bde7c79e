/** What a log knows of damage to itself, for /status and the metrics. */
import type { StoredIncident } from "./salvage/incidents.ts";

export type LogIntegrity = {
  /** Stretches of records that cannot be read, found since the start; each counts once. */
  readonly damagedRanges: number;
  readonly damagedRecords: number;
  /** At least so many commits at the end of the WAL were not taken over by the last start, behind a break: a power cut's work, or damage. */
  readonly commitsGivenUp: number;
  /** What has happened to the log since it was made, newest last. */
  readonly incidents: readonly StoredIncident[];
  /** Of all incidents: records that were there and could not be carried over. */
  readonly lostRecords: number;
};

export const soundIntegrity: LogIntegrity = {
  damagedRanges: 0,
  damagedRecords: 0,
  commitsGivenUp: 0,
  incidents: [],
  lostRecords: 0,
};

export class IntegrityRecord {
  #value = soundIntegrity;

  get value(): LogIntegrity {
    return this.#value;
  }

  opened(incidents: readonly StoredIncident[]): void {
    const lostRecords = incidents.reduce((sum, incident) => sum + incident.lostRecords, 0);
    this.#value = { ...this.#value, incidents, lostRecords };
  }

  gaveUp(commits: number): void {
    this.#value = { ...this.#value, commitsGivenUp: commits };
  }

  /** Inclusive ends. */
  damaged(from: number, to: number): void {
    const { damagedRanges, damagedRecords } = this.#value;
    const records = Math.max(1, to - from + 1);
    this.#value = { ...this.#value, damagedRanges: damagedRanges + 1, damagedRecords: damagedRecords + records };
  }
}
