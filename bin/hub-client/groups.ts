/**
 * Consumer groups as the hub tells of them. There are two types, and each is described by an API of its own: in
 * "classic" groups the members share the partitions out (DescribeGroups), in "consumer" groups the hub does (KIP-848,
 * ConsumerGroupDescribe). ListGroups says which is which, and is answered by every broker for the groups it coordinates,
 * so that the same connection can describe them.
 */
import { consumerGroupDescribeV0, describeGroupsV5, listGroupsV5, ResponseError } from "@platformatic/kafka";
import type { Admin, Connection } from "@platformatic/kafka";
import { parseAssignment } from "../../hub/group/consumer-protocol.ts";
import { StreamError } from "../../shared/errors.ts";
import type { Offset, Partition } from "../../shared/ids.ts";
import { formatCountOf } from "../table.ts";
import type { AssignedPartitions } from "./assigned-partitions.ts";
import { kafkaCodeOf } from "./connect.ts";

export type GroupListing = {
  readonly group: string;
  /** "classic" or "consumer". */
  readonly type: string;
  readonly state: string;
  /** Null when the hub does not tell this user, or the group went away while it was asked about. */
  readonly memberCount: number | null;
};

export type GroupMember = {
  readonly id: string;
  /** Its `group.instance.id`, if it has one. */
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly host: string;
  readonly assigned: readonly AssignedPartitions[];
  /** What it is to have; differs from `assigned` while other members let go of it. */
  readonly target: readonly AssignedPartitions[];
};

export type DescribedGroup = {
  readonly group: string;
  readonly type: string;
  readonly state: string;
  /** How the partitions are shared out; empty when nobody has agreed on it yet. */
  readonly assignor: string;
  readonly members: readonly GroupMember[];
};

type Coordinated = { readonly connection: Connection; readonly group: string; readonly type: string; state: string };

/** In the order of their names. */
export async function listGroups(admin: Admin): Promise<GroupListing[]> {
  const listed = await coordinated(admin);
  const counts = new Map<string, number>();
  for (const [connection, groups] of Map.groupBy(listed, (each) => each.connection)) {
    const ofType = (isConsumer: boolean) =>
      groups.filter(({ type }) => (type === "consumer") === isConsumer).map(({ group }) => group);
    const [classic, consumer] = [ofType(false), ofType(true)];
    const answers = await Promise.all([
      classic.length === 0 ? [] : told(describeGroupsV5.api.async(connection, classic, false)),
      consumer.length === 0 ? [] : told(consumerGroupDescribeV0.api.async(connection, consumer, false)),
    ]);
    for (const { groupId, members } of answers.flat()) counts.set(groupId, members.length);
  }
  return listed
    .map(({ group, type, state }) => ({ group, type, state, memberCount: counts.get(group) ?? null }))
    .toSorted((left, right) => (left.group < right.group ? -1 : 1));
}

async function coordinated(admin: Admin): Promise<Coordinated[]> {
  const connections = [...(await admin.connectToBrokers()).values()];
  const answers = await Promise.all(
    connections.map(async (connection) => {
      const { groups } = await listGroupsV5.api.async(connection, [], []);
      return groups.map(({ groupId, groupType, groupState }) => {
        return { connection, group: groupId, type: groupType.toLowerCase(), state: inWords(groupState) };
      });
    }),
  );
  return answers.flat();
}

type Answer<Group> = { readonly groups: readonly Group[] };

/** The groups that the hub describes. The library throws the whole answer away when one of them is refused. */
async function told<Group extends { errorCode: number }>(asked: Promise<Answer<Group>>): Promise<readonly Group[]> {
  const { groups } = await asked.catch((error: unknown) => {
    if (error instanceof ResponseError) return error.response as Answer<Group>;
    throw error;
  });
  return groups.filter(({ errorCode }) => errorCode === 0);
}

/** @throws GROUP_ID_NOT_FOUND; GROUP_AUTHORIZATION_FAILED and what else the library throws. */
export async function describeGroup(admin: Admin, id: string): Promise<DescribedGroup> {
  const found = await findGroup(admin, id);
  if (found !== undefined) return found;
  // What the user may not see is not listed either; asked for by its name, it is refused in so many words.
  await admin.describeGroups({ groups: [id] });
  throw new StreamError("GROUP_ID_NOT_FOUND", `there is no group '${id}'`, {
    hint: "`tributary groups list` shows what exists.",
  });
}

async function findGroup(admin: Admin, id: string): Promise<DescribedGroup | undefined> {
  const found = (await coordinated(admin)).find(({ group }) => group === id);
  if (found === undefined) return undefined;
  const { connection, type } = found;
  return { group: id, type, ...(await (type === "consumer" ? describeConsumer : describeClassic)(connection, id)) };
}

/** "2 members reading"; undefined for a group without any, and for one that does not exist. */
export async function describeReaders(admin: Admin, group: string): Promise<string | undefined> {
  const count = (await findGroup(admin, group))?.members.length ?? 0;
  return count === 0 ? undefined : `${formatCountOf(count, "member")} reading`;
}

type Description = Omit<DescribedGroup, "group" | "type">;

async function describeClassic(connection: Connection, id: string): Promise<Description> {
  const { groups } = await describeGroupsV5.api.async(connection, [id], false);
  const group = groups.find(({ groupId }) => groupId === id);
  const isReadable = group?.protocolType === "consumer";
  const members = (group?.members ?? []).map((member): GroupMember => {
    const assigned = isReadable ? (parseAssignment(member.memberAssignment)?.topics ?? []) : [];
    return { ...identity(member, member.groupInstanceId ?? null), assigned, target: assigned };
  });
  return { state: inWords(group?.groupState ?? "Dead"), assignor: group?.protocolData ?? "", members };
}

async function describeConsumer(connection: Connection, id: string): Promise<Description> {
  const { groups } = await consumerGroupDescribeV0.api.async(connection, [id], false);
  const group = groups.find(({ groupId }) => groupId === id);
  const partitionsOf = ({ topicPartitions }: { topicPartitions: { topicName: string; partitions: number[] }[] }) =>
    topicPartitions.map(({ topicName, partitions }) => ({ topic: topicName, partitions }));
  const members = (group?.members ?? []).map((member): GroupMember => ({
    ...identity(member, member.instanceId ?? null),
    assigned: partitionsOf(member.assignment),
    target: partitionsOf(member.targetAssignment),
  }));
  return { state: inWords(group?.groupState ?? "Dead"), assignor: group?.assignorName ?? "", members };
}

type Identity = { readonly memberId: string; readonly clientId: string; readonly clientHost: string };

function identity({ memberId, clientId, clientHost }: Identity, instanceId: string | null) {
  // Java writes an address with its empty host name before it.
  return { id: memberId, instanceId, clientId, host: clientHost.replace(/^\//, "") };
}

/** "PreparingRebalance" as "preparing rebalance". */
function inWords(state: string): string {
  return state.replaceAll(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
}

/** By `topic/partition`. */
export async function committedOffsets(admin: Admin, group: string): Promise<Map<string, Offset>> {
  const listed = await admin.listConsumerGroupOffsets({ groups: [group] });
  const entries = listed
    .flatMap(({ topics }) => topics)
    .flatMap(({ name, partitions }) =>
      partitions.map((at) => [`${name}/${at.partitionIndex}`, Number(at.committedOffset)] as const),
    );
  // -1 stands for "nothing committed".
  return new Map(entries.filter(([, offset]) => offset >= 0));
}

/** Commits for a group that nobody reads with. @throws NON_EMPTY_GROUP. */
export async function moveOffsets(
  admin: Admin,
  group: string,
  topic: string,
  offsets: readonly (readonly [Partition, Offset])[],
): Promise<void> {
  const partitionOffsets = offsets.map(([partition, offset]) => ({ partition, offset: BigInt(offset) }));
  try {
    await admin.alterConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionOffsets }] });
  } catch (error) {
    // To ask for members first would leave a gap in which one may join; the hub itself looks at the commit.
    if (kafkaCodeOf(error) !== "UNKNOWN_MEMBER_ID") throw error;
    // There was one, even if it has gone since.
    const readers = (await describeReaders(admin, group)) ?? "1 member reading";
    throw new StreamError("NON_EMPTY_GROUP", `'${group}' has ${readers}; nothing changed`, {
      cause: error,
      hint: `Stop its members first; \`tributary groups describe ${group}\` shows them.`,
    });
  }
}
