/**
 * What the uplink must not forget, in the log's database: the installation's producer id, the epoch of each partition
 * and where it began, losses not yet declared to the hub, and where the log ended at a start that the hub has not
 * confirmed (resume.ts tells why). Everything here is durable before the hub hears of it.
 */
import { randomBytes } from "node:crypto";
import type { Database } from "better-sqlite3";
import type { Offset, ProducerEpoch, ProducerId } from "../../shared/ids.ts";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";
import type { PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { LossReason } from "../../shared/link/frames.ts";

/** Offsets that will never arrive, first and last, before the first record of `epoch`. */
export type UndeclaredGap = {
  readonly epoch: ProducerEpoch;
  readonly from: Offset;
  readonly to: Offset;
  readonly reason: LossReason;
};

export type EpochRow = {
  readonly topic: string;
  readonly partition: number;
  readonly epoch: ProducerEpoch;
  readonly firstOffset: Offset;
  readonly unverifiedFrom: Offset | null;
  /** Declared at every connection until the hub has answered. */
  readonly gaps: readonly UndeclaredGap[];
};

type StoredRow = Omit<EpochRow, "gaps"> & { readonly gaps: string };

const SCHEMA = `
CREATE TABLE IF NOT EXISTS uplink_producer (id INTEGER PRIMARY KEY CHECK (id = 0), producer TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS uplink_epoch (
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  first_offset INTEGER NOT NULL,
  unverified_from INTEGER,
  gaps TEXT NOT NULL,
  PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
`;

const EXTENSION = "uplink";

export const epochTable: LogExtension = { name: EXTENSION, schema: SCHEMA, prepare };

function prepare(database: Database): ExtensionMethods {
  const readProducer = database.prepare<[], { producer: string }>("SELECT producer FROM uplink_producer");
  const setProducer = database.prepare<[string]>("INSERT OR REPLACE INTO uplink_producer VALUES (0, ?)");
  const all = database.prepare<[], StoredRow>(
    `SELECT topic, partition, epoch, first_offset AS firstOffset, unverified_from AS unverifiedFrom, gaps
     FROM uplink_epoch`,
  );
  const save = database.prepare<[string, number, number, number, number | null, string]>(
    "INSERT OR REPLACE INTO uplink_epoch VALUES (?, ?, ?, ?, ?, ?)",
  );
  return {
    producer: () => readProducer.get()?.producer,
    setProducer: (producer: string) => {
      setProducer.run(producer);
    },
    all: () => all.all(),
    save: (rows: readonly EpochRow[]) => {
      for (const row of rows) {
        const { topic, partition, epoch, firstOffset, unverifiedFrom, gaps } = row;
        save.run(topic, partition, epoch, firstOffset, unverifiedFrom, JSON.stringify(gaps));
      }
    },
  };
}

const keyOf = (topic: string, partition: number): string => `${topic}/${partition}`;

/** The table as the uplink uses it: memory moves after the disk. */
export class Epochs {
  readonly #log: Pick<PartitionedLog, "call" | "query">;
  readonly #rows = new Map<string, EpochRow>();
  #producerId: ProducerId = 0n;

  private constructor(log: Pick<PartitionedLog, "call" | "query">) {
    this.#log = log;
  }

  /** Makes the producer id at the first start, and marks where each partition ends now. Before anything is appended. */
  static async load(log: PartitionedLog): Promise<Epochs> {
    const epochs = new Epochs(log);
    const stored = (await log.query({ extension: EXTENSION, method: "all", args: undefined })) as StoredRow[];
    for (const row of stored) {
      const gaps = JSON.parse(row.gaps) as readonly UndeclaredGap[];
      epochs.#rows.set(keyOf(row.topic, row.partition), { ...row, gaps });
    }
    const producer = await log.query({ extension: EXTENSION, method: "producer", args: undefined });
    if (producer === undefined) await epochs.renewProducer();
    else epochs.#producerId = BigInt(producer as string);
    await epochs.#markEnds(log);
    return epochs;
  }

  get producerId(): ProducerId {
    return this.#producerId;
  }

  of(topic: string, partition: number): EpochRow | undefined {
    return this.#rows.get(keyOf(topic, partition));
  }

  /** Durable on return. */
  async save(rows: readonly EpochRow[]): Promise<void> {
    await this.#log.call([{ extension: EXTENSION, method: "save", args: rows }]);
    for (const row of rows) this.#rows.set(keyOf(row.topic, row.partition), row);
  }

  /** A new identity, when one has used up its epochs. Durable on return. */
  async renewProducer(): Promise<void> {
    // 63 bits: the sign bit of Kafka's int64 stays 0.
    const id = randomBytes(8).readBigUInt64BE() >> 1n;
    await this.#log.call([{ extension: EXTENSION, method: "setProducer", args: String(id) }]);
    this.#producerId = id;
  }

  async #markEnds(log: PartitionedLog): Promise<void> {
    const marked: EpochRow[] = [];
    for (const { name, partitions } of log.topics.values()) {
      for (const { partition, logEndOffset } of partitions) {
        const row = this.of(name, partition);
        if (row === undefined) continue;
        const unverifiedFrom = Math.min(row.unverifiedFrom ?? logEndOffset, logEndOffset);
        if (unverifiedFrom !== row.unverifiedFrom) marked.push({ ...row, unverifiedFrom });
      }
    }
    if (marked.length > 0) await this.save(marked);
  }
}
