/**
 * A classic group's membership as bytes, for Engine.saveGroup: JSON, so that it can be looked at with any SQLite shell, with the
 * members' opaque bytes in base64.
 *
 *   {"version":1,"generation":7,"protocolType":"consumer","protocolName":"range","leaderId":"m-1","members":[
 *     {"memberId":"m-1","instanceId":null,"clientId":"m","clientHost":"/10.0.0.7","sessionTimeoutMs":45000,
 *      "rebalanceTimeoutMs":300000,"protocols":[{"name":"range","metadata":"AAEAAAAB..."}],"assignment":"AAEAAAAB..."}]}
 *
 * A change that older programs would misread takes the next version; fields that they may ignore do not. Version 2 is a
 * group of the newer protocol (consumer/consumer-snapshot.ts); version 1 goes on to be written for classic ones.
 */
import { z } from "zod";
import { StreamError } from "../../shared/errors.ts";
import {
  CONSUMER_SNAPSHOT_VERSION,
  consumerSnapshotSchema,
  toSavedConsumerGroup,
} from "./consumer/consumer-snapshot.ts";
import type { SavedConsumerGroup } from "./consumer/consumer-state.ts";
import type { SavedGroup } from "./group-state.ts";

const SNAPSHOT_VERSION = 1;

const base64 = z.base64().transform((text) => Buffer.from(text, "base64"));

const snapshotSchema = z.object({
  version: z.literal(SNAPSHOT_VERSION),
  generation: z.int().nonnegative(),
  protocolType: z.string().nullable(),
  protocolName: z.string().nullable(),
  leaderId: z.string().nullable(),
  members: z.array(
    z.object({
      memberId: z.string(),
      instanceId: z.string().nullable(),
      clientId: z.string(),
      clientHost: z.string(),
      sessionTimeoutMs: z.int().nonnegative(),
      rebalanceTimeoutMs: z.int().nonnegative(),
      protocols: z.array(z.object({ name: z.string(), metadata: base64 })),
      assignment: base64,
    }),
  ),
});

const anyVersionSchema = z.object({ version: z.int() });

const anySnapshotSchema = z.union([
  snapshotSchema.transform(({ version: _version, ...group }) => ({ type: "classic" as const, group })),
  consumerSnapshotSchema.transform((snapshot) => ({
    type: "consumer" as const,
    group: toSavedConsumerGroup(snapshot),
  })),
]);

export type DecodedSnapshot =
  | { readonly type: "classic"; readonly group: SavedGroup }
  | { readonly type: "consumer"; readonly group: SavedConsumerGroup };

export function encodeSnapshot(group: SavedGroup): Uint8Array {
  const { generation, protocolType, protocolName, leaderId } = group;
  const members = group.members.map((member) => ({
    ...member,
    protocols: member.protocols.map(({ name, metadata }) => ({ name, metadata: metadata.toString("base64") })),
    assignment: member.assignment.toString("base64"),
  }));
  return Buffer.from(
    JSON.stringify({ version: SNAPSHOT_VERSION, generation, protocolType, protocolName, leaderId, members }),
  );
}

/**
 * @throws StreamError LOG_VERSION when a newer program wrote it, CORRUPT_RECORD when it is not a snapshot.
 */
export function decodeSnapshot(bytes: Uint8Array): DecodedSnapshot {
  const json = parseJson(bytes);
  const { data: head } = anyVersionSchema.safeParse(json);
  if (head !== undefined && head.version > CONSUMER_SNAPSHOT_VERSION) {
    throw new StreamError(
      "LOG_VERSION",
      `group snapshot of version ${head.version}, known are up to ${CONSUMER_SNAPSHOT_VERSION}`,
    );
  }
  const parsed = anySnapshotSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new StreamError("CORRUPT_RECORD", "the bytes are no group snapshot", { cause: parsed.error });
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (error) {
    throw new StreamError("CORRUPT_RECORD", "a group snapshot is not JSON", { cause: error });
  }
}
