/** The groups' tables in the hub's log database: committed offsets and memberships, in the log's own transactions. */
import type { Database } from "better-sqlite3";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";
import type { CommittedOffset, TopicPartition } from "./engine.ts";

export type CommitOffsetsArgs = { readonly group: string; readonly offsets: readonly CommittedOffset[] };
export type DeleteOffsetsArgs = { readonly group: string; readonly at: readonly TopicPartition[] };
export type SaveGroupArgs = { readonly group: string; readonly snapshot: Uint8Array | null };
export type CommittedRow = CommittedOffset & { readonly group: string };

const SCHEMA = `
CREATE TABLE IF NOT EXISTS committed_offset (
  group_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  partition INTEGER NOT NULL,
  "offset" INTEGER NOT NULL,
  leader_epoch INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  committed_at INTEGER NOT NULL,
  PRIMARY KEY (group_id, topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS group_snapshot (group_id TEXT PRIMARY KEY, snapshot BLOB NOT NULL) WITHOUT ROWID;
`;

export const groupTables: LogExtension = {
  name: "groups",
  schema: SCHEMA,
  // A group that goes back a little reads some records again.
  copied: ["committed_offset"],
  // Consumers go on while producers wait for room.
  upkeep: ["commitOffsets", "deleteOffsets", "forgetTopic", "saveGroup"],
  prepare,
};

export function byGroup(rows: readonly CommittedRow[]): ReadonlyMap<string, readonly CommittedOffset[]> {
  const found = new Map<string, CommittedOffset[]>();
  for (const { group, ...offset } of rows) {
    const offsets = found.get(group);
    if (offsets === undefined) found.set(group, [offset]);
    else offsets.push(offset);
  }
  return found;
}

function prepare(database: Database): ExtensionMethods {
  const commit = database.prepare<[string, string, number, number, number, string, number]>(
    `INSERT INTO committed_offset VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "offset" = excluded."offset",
     leader_epoch = excluded.leader_epoch, metadata = excluded.metadata, committed_at = excluded.committed_at`,
  );
  const remove = database.prepare<[string, string, number]>(
    "DELETE FROM committed_offset WHERE group_id = ? AND topic = ? AND partition = ?",
  );
  const removeGroup = database.prepare<[string]>("DELETE FROM committed_offset WHERE group_id = ?");
  const removeTopic = database.prepare<[string]>("DELETE FROM committed_offset WHERE topic = ?");
  const all = database.prepare<[], CommittedRow>(
    `SELECT group_id AS "group", topic, partition, "offset", leader_epoch AS leaderEpoch, metadata,
     committed_at AS committedAt FROM committed_offset`,
  );
  const topics = database.prepare<[], string>("SELECT DISTINCT topic FROM committed_offset").pluck();
  const save = database.prepare<[string, Uint8Array]>(
    "INSERT INTO group_snapshot VALUES (?, ?) ON CONFLICT DO UPDATE SET snapshot = excluded.snapshot",
  );
  const removeSnapshot = database.prepare<[string]>("DELETE FROM group_snapshot WHERE group_id = ?");
  const snapshots = database.prepare<[], { group: string; snapshot: Buffer }>(
    `SELECT group_id AS "group", snapshot FROM group_snapshot`,
  );
  return {
    commitOffsets: ({ group, offsets }: CommitOffsetsArgs) => {
      for (const at of offsets) {
        commit.run(group, at.topic, at.partition, at.offset, at.leaderEpoch, at.metadata, at.committedAt);
      }
    },
    deleteOffsets: ({ group, at }: DeleteOffsetsArgs) => {
      for (const { topic, partition } of at) remove.run(group, topic, partition);
    },
    forgetTopic: (topic: string) => {
      removeTopic.run(topic);
    },
    committedOffsets: () => all.all(),
    committedTopics: () => topics.all(),
    saveGroup: ({ group, snapshot }: SaveGroupArgs) => {
      if (snapshot !== null) {
        save.run(group, snapshot);
        return;
      }
      removeSnapshot.run(group);
      removeGroup.run(group);
    },
    groups: () => snapshots.all(),
  };
}
