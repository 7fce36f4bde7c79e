/** Opens what a cut has left with the product's own start, in this process: a few milliseconds instead of a program's. */
import path from "node:path";
import type { MessagePort } from "node:worker_threads";
import Database from "better-sqlite3";
import { LogInspection, recordsOf } from "../../../bin/log-inspection.ts";
import { isControl } from "../../../shared/batch/record-batch.ts";
import { systemClock } from "../../../shared/clock.ts";
import type { LogExtension } from "../../../shared/log/extension.ts";
import type { AppendedValue, FromWorker } from "../../../shared/log/log-messages.ts";
import { openWriter } from "../../../shared/log/open-writer.ts";
import type { WriterServer } from "../../../shared/log/writer-server.ts";
import { keyedRecord } from "./compacted-topic.ts";
import type { KeyedRecord } from "./compacted-topic.ts";
import type { Found, FoundPartition } from "./witness.ts";

export type Opened = Found & {
  /** Why the log was salvaged; undefined when it opened as it was. */
  readonly salvage: string | undefined;
  readonly incidents: readonly string[];
};

/** Offsets that follow a loss that nobody could exclude, as at the hub. */
const SKIPPED_ON_DAMAGE = 1000;

/** One batch into the log that was opened, as the hub appends what its clients send. @throws when it is refused. */
export type AppendBatch = (place: { topic: string; partition: number }, batch: Buffer) => AppendedValue;

/** Must open, whatever it holds, and is closed again after `use`. @throws when it would take a person. */
export function openCut(
  directory: string,
  extensions: readonly LogExtension[],
  use: (append: AppendBatch) => void = () => undefined,
): Opened {
  const messages: FromWorker[] = [];
  // The server only posts to its port.
  const port = { postMessage: (message: FromWorker) => messages.push(message), close: () => undefined };
  const server = openWriter(
    port as unknown as MessagePort,
    {
      directory,
      role: "writer",
      reserveBytes: 1 << 20,
      skippedOnDamage: SKIPPED_ON_DAMAGE,
      flushDelayMs: 10,
      crashPointBeforeFsync: "hub-before-fsync",
    },
    { extensions, clock: systemClock },
  );
  use(appendingTo(server, messages));
  server.handle({ type: "close" });
  const salvaging = messages.find((message) => message.type === "salvaging");
  const opened = messages.find((message) => message.type === "opened");
  const fatal = messages.find((message) => message.type === "fatal");
  if (opened === undefined || fatal !== undefined) throw new Error(`not opened: ${JSON.stringify(fatal)}`);
  const damages = quickCheck(directory);
  const topics = new Set(opened.topics.map(({ name }) => name));
  const incidents = opened.incidents.map(({ cause }) => cause);
  const { partitions, committed } = look(directory, damages);
  return { topics, partitions, committed, damages, salvage: salvaging?.cause, incidents };
}

function appendingTo(server: WriterServer, messages: readonly FromWorker[]): AppendBatch {
  return ({ topic, partition }, batch) => {
    const opened = messages.find((message) => message.type === "opened");
    const place = opened?.partitions.find((each) => each.topic === topic && each.partition === partition);
    if (place === undefined) throw new Error(`${topic}/${partition} is not there`);
    const bytes = new Uint8Array(batch).buffer;
    const { length } = batch;
    const operation = {
      type: "append-batch",
      partitionId: place.id,
      keepsProducer: false,
      from: 0,
      to: length,
    } as const;
    server.handle({ type: "commit", id: 1, operations: [operation], bytes, bytesUsed: length, durability: "fsync" });
    const answer = messages.findLast(({ type }) => type === "committed" || type === "refused");
    const result = answer?.type === "committed" ? answer.results[0] : undefined;
    if (result === undefined || !("value" in result)) throw new Error(`refused: ${JSON.stringify(answer)}`);
    return result.value as AppendedValue;
  };
}

function quickCheck(directory: string): string[] {
  const database = new Database(path.join(directory, "log.db"));
  try {
    const answer = String(database.pragma("quick_check", { simple: true }));
    return answer === "ok" ? [] : [`quick_check: ${answer}`];
  } finally {
    database.close();
  }
}

/** By the reader of `tributary log`; adds what is wrong to `damages`. */
function look(directory: string, damages: string[]): Pick<Found, "partitions" | "committed"> {
  const inspection = new LogInspection(directory);
  try {
    const partitions = inspection.partitions().map((summary): FoundPartition => {
      const { topic, partition, logStartOffset: start, logEndOffset: end, bytes } = summary;
      const keys = new Map<number, string>();
      const keyed = new Map<number, KeyedRecord>();
      try {
        for (const batch of inspection.batches({ topic, partition, offset: start })) {
          if (batch.damage !== undefined) {
            damages.push(`${topic}/${partition} at ${batch.baseOffset}: ${batch.damage}`);
            continue;
          }
          // What a salvage puts where it skips offsets.
          if (batch.header !== undefined && isControl(batch.header)) continue;
          for (const record of recordsOf(batch, start)) {
            if (record.value !== null) keys.set(record.offset, keyOf(record.value));
            const known = keyedRecord(record);
            if (known !== undefined) keyed.set(record.offset, known);
          }
        }
      } catch (error) {
        // A page that readers pass by.
        damages.push(`${topic}/${partition}: ${String(error)}`);
      }
      return { topic, partition, start, end, bytes, keys, keyed };
    });
    return { partitions, committed: committedIn(directory) };
  } finally {
    inspection.close();
  }
}

/** A record's value is "publisher/number", and perhaps more after a space. */
function keyOf(value: Uint8Array): string {
  return Buffer.from(value).toString("latin1").split(" ", 1)[0] ?? "";
}

/** What groups have committed at a hub, and the pairs of the test's own extension. */
function committedIn(directory: string): Map<string, number> {
  const database = new Database(path.join(directory, "log.db"), { readonly: true });
  try {
    const has = (table: string): boolean =>
      database.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?").get(table) !== undefined;
    const committed = new Map<string, number>();
    if (has("test_pair")) {
      const pairs = database.prepare<[], { name: string; value: string }>("SELECT name, value FROM test_pair").all();
      for (const { name, value } of pairs) committed.set(name, Number(value));
    }
    if (has("committed_offset")) {
      const rows = database
        .prepare<[], { name: string; value: number }>(
          `SELECT group_id || '/' || topic || '/' || partition AS name, "offset" AS value FROM committed_offset`,
        )
        .all();
      for (const { name, value } of rows) committed.set(name, value);
    }
    return committed;
  } finally {
    database.close();
  }
}
