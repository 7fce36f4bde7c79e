/**
 * A group of the newer protocol as bytes, for Engine.saveGroup: JSON, as the classic groups' (snapshot.ts), in a version
 * of its own, so that a program that does not know this kind of group refuses to start instead of losing it.
 *
 *   {"version":2,"type":"consumer","epoch":7,"assignmentEpoch":7,"assignor":"uniform",
 *    "topics":[{"name":"readings","id":"6f…","partitionCount":4}],
 *    "members":[{"memberId":"m-1", … ,"epoch":7,"previousEpoch":6,"phase":"stable",
 *      "assigned":{"6f…":[[0,5],[1,7]]},        partition and the epoch since which it is owned
 *      "revoking":{},
 *      "target":{"6f…":[0,1]}}]}
 */
import { z } from "zod";
import type { ConsumerMember, SavedConsumerGroup } from "./consumer-state.ts";
import { noPartitions, type OwnedPartitions, type PartitionSet } from "./partitions.ts";

export const CONSUMER_SNAPSHOT_VERSION = 2;

const partition = z.int().nonnegative();
const epoch = z.int().min(-2);

const ownedSchema = z
  .record(z.string(), z.array(z.tuple([partition, epoch])))
  .transform((topics): OwnedPartitions => new Map(Object.entries(topics).map(([id, pairs]) => [id, new Map(pairs)])));

const targetSchema = z
  .record(z.string(), z.array(partition))
  .transform((topics): PartitionSet => new Map(Object.entries(topics).map(([id, list]) => [id, new Set(list)])));

export const consumerSnapshotSchema = z.object({
  version: z.literal(CONSUMER_SNAPSHOT_VERSION),
  type: z.literal("consumer"),
  epoch,
  assignmentEpoch: epoch,
  assignor: z.string(),
  topics: z.array(z.object({ name: z.string(), id: z.string(), partitionCount: z.int().positive() })),
  members: z.array(
    z.object({
      memberId: z.string(),
      instanceId: z.string().nullable(),
      rackId: z.string().nullable(),
      clientId: z.string(),
      clientHost: z.string(),
      rebalanceTimeoutMs: z.int().nonnegative(),
      subscribedNames: z.array(z.string()),
      subscribedRegex: z.string(),
      assignor: z.string().nullable(),
      epoch,
      previousEpoch: epoch,
      phase: z.enum(["stable", "unrevoked", "unreleased"]),
      assigned: ownedSchema,
      revoking: ownedSchema,
      target: targetSchema,
    }),
  ),
});

export function encodeConsumerSnapshot(group: SavedConsumerGroup): Uint8Array {
  const topics = Array.from(group.topics, ([name, { id, partitionCount }]) => ({ name, id, partitionCount }));
  const members = group.members.map((member) => ({
    ...member,
    assigned: fromOwned(member.assigned),
    revoking: fromOwned(member.revoking),
    target: Object.fromEntries(
      Array.from(group.target.get(member.memberId) ?? noPartitions, ([id, partitions]) => [id, [...partitions]]),
    ),
  }));
  const { assignmentEpoch, assignor } = group;
  const head = { version: CONSUMER_SNAPSHOT_VERSION, type: "consumer", epoch: group.epoch, assignmentEpoch, assignor };
  return Buffer.from(JSON.stringify({ ...head, topics, members }));
}

function fromOwned(owned: OwnedPartitions) {
  return Object.fromEntries(Array.from(owned, ([id, partitions]) => [id, [...partitions]]));
}

export function toSavedConsumerGroup(snapshot: z.output<typeof consumerSnapshotSchema>): SavedConsumerGroup {
  const { assignmentEpoch, assignor } = snapshot;
  const topics = new Map(snapshot.topics.map(({ name, ...topic }) => [name, topic]));
  const target = new Map(snapshot.members.map((member) => [member.memberId, member.target]));
  const members = snapshot.members.map(({ target: _target, ...member }): ConsumerMember => member);
  return { epoch: snapshot.epoch, assignmentEpoch, assignor, topics, target, members };
}
