/** Consumer groups: who is in them, where they are, and moving them while nobody is. */
import type { Static } from "typebox";
import { StreamError } from "../../../shared/errors.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import type { Offset } from "../../../shared/ids.ts";
import { checkTopic, mayGroup, mayTopic } from "../../access/authorize.ts";
import type { Asking } from "../../access/authorize.ts";
import type { Operation } from "../../access/authorizer.ts";
import type { TopicPartition } from "../../engine/engine.ts";
import { parseAssignment } from "../../group/consumer-protocol.ts";
import type { AnyGroupListing, MemberIdentity } from "../../group/groups.ts";
import { answer, groupDetail, groupList, groupParams, listQuery, offsetReset, offsetsReset } from "./schemas.ts";
import { askingOf } from "./services.ts";
import type { ApiApp, ApiServices } from "./services.ts";
import { pageOf, topicOf } from "./topic-routes.ts";

const tags = ["groups"];
/** What a commit of somebody outside the group carries. */
const nobody = { generation: -1, memberId: "", instanceId: null, knowsMemberEpochs: false } as const;
const NO_LEADER_EPOCH = -1;

export function groupRoutes(app: ApiApp, services: ApiServices): void {
  const { groups } = services;
  const list = { tags, operationId: "listGroups", summary: "Which consumer groups there are", querystring: listQuery };
  app.get("/groups", { schema: { ...list, response: { 200: answer("By name", groupList) } } }, (request) => {
    const asking = askingOf(services, request);
    const listed = new Map(groups.list().map((each) => [each.group, each]));
    const page = pageOf(
      [...listed.keys()].filter((name) => mayGroup(asking, "describe", name)),
      request.query,
    );
    return { groups: page.names.map((name) => summary(services, listed.get(name)!)), next: page.next };
  });

  const show = { tags, operationId: "describeGroup", summary: "One group: members, offsets, lag", params: groupParams };
  app.get(
    "/groups/:group",
    { schema: { ...show, response: { 200: answer("As it is now", groupDetail) } } },
    (request) => {
      const asking = askingOf(services, request);
      checkGroup(asking, "describe", request.params.group);
      return detail(services, asking, listingOf(services, request.params.group));
    },
  );

  const reset = {
    ...{
      tags,
      operationId: "resetOffsets",
      summary: "Set where a group goes on",
      params: groupParams,
      body: offsetReset,
    },
    description: "The group must have no members. What is set is on the disk when the answer comes.",
  };
  app.post(
    "/groups/:group/offsets",
    { schema: { ...reset, response: { 200: answer("It is so", offsetsReset) } } },
    async (request) => {
      const asking = askingOf(services, request);
      const { group } = request.params;
      checkGroup(asking, "read", group);
      checkTopic(asking, "read", request.body.topic);
      return { offsets: await resetGroup(services, group, request.body) };
    },
  );

  const remove = {
    tags,
    operationId: "deleteGroup",
    summary: "Delete a group without members and its offsets",
    params: groupParams,
  };
  app.delete(
    "/groups/:group",
    { schema: { ...remove, response: { 204: { type: "null", description: "It is gone" } } } },
    async (request, reply) => {
      const { group } = request.params;
      checkGroup(askingOf(services, request), "delete", group);
      throwIf(await groups.delete(group), `group ${group}`);
      return reply.status(204).send(null);
    },
  );
}

/** @throws StreamError GROUP_AUTHORIZATION_FAILED. */
function checkGroup(asking: Asking, operation: Operation, group: string): void {
  if (mayGroup(asking, operation, group)) return;
  const user = asking.peer.principal.name;
  throw new StreamError(
    "GROUP_AUTHORIZATION_FAILED",
    `User:${user} has no permission "${operation}" for group ${group}`,
  );
}

function throwIf(error: ErrorCode | null | undefined, what: string): void {
  if (error !== null && error !== undefined) throw new StreamError(error, what);
}

/** @throws StreamError GROUP_ID_NOT_FOUND. */
function listingOf({ groups }: ApiServices, name: string): AnyGroupListing {
  const listing = groups.list().find(({ group }) => group === name);
  if (listing !== undefined) return listing;
  throw new StreamError("GROUP_ID_NOT_FOUND", `there is no group ${name}`);
}

function summary(services: ApiServices, { group, type, state, memberCount: members }: AnyGroupListing) {
  const lag = offsetsOf(services, group).reduce((sum, each) => sum + each.lag, 0);
  return { group, type, state, members, lag };
}

/** Offsets that were committed for topics or partitions that are gone are left out. */
function offsetsOf({ engine, groups }: ApiServices, group: string) {
  return [...groups.committed(group)].flatMap(([topic, partitions]) =>
    [...partitions]
      .filter(([partition]) => partition < (engine.topics.get(topic)?.partitionCount ?? 0))
      .map(([partition, { offset, metadata, committedAt }]) => {
        const { logStartOffset, highWatermark } = engine.offsets({ topic, partition });
        const lag = Math.max(0, highWatermark - Math.max(offset, logStartOffset));
        return { topic, partition, offset, logStartOffset, highWatermark, lag, metadata, committedAt };
      })
      .toSorted((a, b) => a.partition - b.partition),
  );
}

function detail(services: ApiServices, asking: Asking, listing: AnyGroupListing) {
  const visible = ({ topic }: { readonly topic: string }): boolean => mayTopic(asking, "describe", topic);
  return {
    ...summary(services, listing),
    memberList: membersOf(services, listing).map((member) => ({
      ...member,
      partitions: member.partitions.filter(visible),
    })),
    offsets: offsetsOf(services, listing.group).filter(visible),
  };
}

type ShownMember = MemberIdentity & {
  readonly clientId: string;
  readonly host: string;
  readonly partitions: readonly TopicPartition[];
};

function membersOf({ engine, groups }: ApiServices, { group, type }: AnyGroupListing): readonly ShownMember[] {
  if (type === "classic") {
    return groups.describe(group).members.map(({ memberId, instanceId, clientId, clientHost: host, assignment }) => {
      const topics = parseAssignment(assignment)?.topics ?? [];
      const partitions = topics.flatMap(({ topic, partitions: own }) => own.map((partition) => ({ topic, partition })));
      return { memberId, instanceId, clientId, host, partitions };
    });
  }
  const nameById = new Map([...engine.topics.values()].map(({ id, name }) => [id.toString("hex"), name]));
  const members = groups.describeConsumer(group)?.members ?? [];
  return members.map(({ memberId, instanceId, clientId, clientHost: host, assignment }) => {
    const partitions = assignment.flatMap(({ topicId, partitions: own }) => {
      const topic = nameById.get(topicId);
      return topic === undefined ? [] : own.map((partition) => ({ topic, partition }));
    });
    return { memberId, instanceId, clientId, host, partitions };
  });
}

type OffsetReset = Static<typeof offsetReset>;

/** @throws StreamError NON_EMPTY_GROUP, UNKNOWN_TOPIC_OR_PARTITION, OFFSET_OUT_OF_RANGE. */
async function resetGroup(
  services: ApiServices,
  group: string,
  { topic: name, partition: only, to, dryRun }: OffsetReset,
) {
  const { groups } = services;
  const topic = topicOf(services, name);
  const members = groups.list().find((each) => each.group === group)?.memberCount ?? 0;
  if (members > 0) throw new StreamError("NON_EMPTY_GROUP", `group ${group} has ${members} members`);
  if (only !== undefined && only >= topic.partitionCount) {
    throw new StreamError("UNKNOWN_TOPIC_OR_PARTITION", `topic ${name} has no partition ${only}`);
  }
  const partitions = only === undefined ? Array.from({ length: topic.partitionCount }, (_, each) => each) : [only];
  const committed = groups.committed(group).get(name);
  const offsets = await Promise.all(
    partitions.map(async (partition) => ({
      topic: name,
      partition,
      before: committed?.get(partition)?.offset ?? null,
      offset: await targetOf(services, { topic: name, partition }, to),
    })),
  );
  if (dryRun === true) return offsets;
  const commits = offsets.map(({ partition, offset }) => {
    return { topic: name, partition, offset, leaderEpoch: NO_LEADER_EPOCH, metadata: null };
  });
  const results = await groups.commit({ group, ...nobody, offsets: commits });
  throwIf(
    results.find((error) => error !== null),
    `group ${group}`,
  );
  return offsets;
}

async function targetOf({ engine }: ApiServices, at: TopicPartition, to: OffsetReset["to"]): Promise<Offset> {
  const { logStartOffset, highWatermark } = engine.offsets(at);
  if (to === "earliest") return logStartOffset;
  if (to === "latest") return highWatermark;
  if (typeof to === "object") return (await engine.offsetForTimestamp(at, to.time))?.offset ?? highWatermark;
  if (to >= logStartOffset && to <= highWatermark) return to;
  const message = `${at.topic}/${at.partition} holds the offsets ${logStartOffset} to ${highWatermark}, not ${to}`;
  throw new StreamError("OFFSET_OUT_OF_RANGE", message);
}
