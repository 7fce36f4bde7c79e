/**
 * What every API of the Kafka listener asks for before it serves a request: the table that
 * test/unit/hub/kafka/authorize.test.ts goes over, with a request for each row.
 */
import type { AccessUser } from "../../hub/access/acl.ts";
import { aclAuthorizer } from "../../hub/access/acl-authorizer.ts";
import type { Operation, ResourceKind } from "../../hub/access/authorizer.ts";
import type { Groups } from "../../hub/group/groups.ts";
import type { Services } from "../../hub/kafka/handler.ts";
import type { Api, ApiDescription, Encodable, Shape } from "../../hub/kafka/schema.ts";
import { readBatchHeader } from "../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../shared/batch/records.ts";
import { ask, kafkaServices, testPeer } from "./kafka-hub.ts";

export type Permission = `${Operation} ${ResourceKind}`;

export const TOPIC = "payroll";
export const GROUP = "accountants";
/** What nobody names in a request. */
const SECRET = "top-secret";
export const USER = "mallory";

/** A hub that holds something worth hiding, or nothing at all; `effects` is what was done to it. */
export type World = {
  readonly services: Omit<Services, "authorizer">;
  readonly topicId: Buffer;
  readonly effects: readonly string[];
};

const engineEffects = [
  "createTopic",
  "deleteTopic",
  "createPartitions",
  "alterTopic",
  "append",
  "deleteRecords",
  "newProducerId",
];
const groupEffects = ["join", "sync", "heartbeat", "leave", "consumer heartbeat", "delete group", "forget topic"];
export const possibleEffects: readonly string[] = [
  ...engineEffects,
  ...groupEffects,
  `commit ${TOPIC}`,
  `delete offset of ${TOPIC}`,
];

export function oneBatch(): Buffer {
  return encodeRecords([{ timestamp: 0, key: null, value: Buffer.from(SECRET) }]);
}

export async function fullWorld(): Promise<World> {
  const effects: string[] = [];
  const services = kafkaServices({ groups: fullGroups(effects) });
  const { id } = await services.engine.createTopic({
    name: TOPIC,
    partitionCount: 2,
    config: { "retention.ms": "987654321" },
  });
  const batch = oneBatch();
  await services.engine.append({
    topic: TOPIC,
    partition: 0,
    batch,
    header: readBatchHeader(batch),
    durability: "fsync",
  });
  return { services: { ...services, engine: recording(services.engine, effects) }, topicId: id, effects };
}

export function emptyWorld(): World {
  const effects: string[] = [];
  const services = kafkaServices({ groups: recordingGroups(effects) });
  return {
    services: { ...services, engine: recording(services.engine, effects) },
    topicId: Buffer.alloc(16, 7),
    effects,
  };
}

function recording<T extends object>(target: T, effects: string[]): T {
  return new Proxy(target, {
    get: (_target, key) => {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        if (engineEffects.includes(String(key))) effects.push(String(key));
        return (value as (...given: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}

/** Answers of a group that lets everybody do everything; what is done is noted. */
function recordingGroups(effects: string[]): Partial<Groups> {
  return {
    join: async ({ memberId }) => {
      effects.push("join");
      return {
        error: null,
        generation: 1,
        protocolType: "consumer",
        protocolName: "range",
        leader: memberId,
        memberId,
        skipAssignment: false,
        members: [],
      };
    },
    sync: async () => {
      effects.push("sync");
      return { error: null, protocolType: "consumer", protocolName: "range", assignment: Buffer.from(SECRET) };
    },
    heartbeat: () => {
      effects.push("heartbeat");
      return null;
    },
    leave: async (_group, members) => {
      effects.push("leave");
      return { error: null, members: members.map((member) => ({ ...member, error: null })) };
    },
    commit: async ({ offsets }) => {
      effects.push(...offsets.map(({ topic }) => `commit ${topic}`));
      return offsets.map(() => null);
    },
    consumerHeartbeat: async ({ epoch }) => {
      effects.push("consumer heartbeat");
      return { error: null, message: null, memberId: "m", epoch, heartbeatIntervalMs: 5000, assignment: null };
    },
    delete: async () => {
      effects.push("delete group");
      return null;
    },
    deleteOffsets: async (_group, at) => {
      effects.push(...at.map(({ topic }) => `delete offset of ${topic}`));
      return { error: null, partitions: at.map(() => null) };
    },
    forgetTopic: async () => {
      effects.push("forget topic");
    },
  };
}

function fullGroups(effects: string[]): Partial<Groups> {
  const group = { group: GROUP, protocolType: "consumer", state: "Stable", type: "classic", memberCount: 1 } as const;
  const member = { memberId: SECRET, instanceId: null, clientId: SECRET, clientHost: "/10.0.0.9" };
  const position = { offset: 42, leaderEpoch: 0, metadata: SECRET, committedAt: 0 };
  return {
    ...recordingGroups(effects),
    list: () => [group],
    describe: () => ({
      ...group,
      protocolName: "range",
      members: [{ ...member, metadata: Buffer.from(SECRET), assignment: Buffer.from(SECRET) }],
    }),
    describeConsumer: () => ({
      ...{ group: GROUP, state: "Stable", epoch: 3, assignmentEpoch: 3, assignor: "uniform" },
      members: [
        {
          ...{ ...member, rackId: null, epoch: 3, subscribedNames: [TOPIC], subscribedRegex: null },
          ...{ assignment: [], target: [] },
        },
      ],
    }),
    committed: () => new Map([[TOPIC, new Map([[0, position]])]]),
  };
}

export type PermissionRow = {
  readonly api: ApiDescription;
  /** What of the API the row is about. */
  readonly part: string;
  /** Each alone is enough. Empty: whoever is connected may do it. */
  readonly needs: readonly Permission[];
  /** What is granted in any case, because the API asks for it first. */
  readonly granted: readonly Permission[];
  /** Kafka's code for the refusal; undefined: nothing is refused, but what may not be seen is left out. */
  readonly refusal: number | undefined;
  readonly versions: readonly [first: number, last: number];
  /**
   * Why the refusal is not the same whatever the hub holds: what is told is no secret to who asks. The topic's name still
   * is. Undefined for nearly all.
   */
  readonly toldBecause: string | undefined;
  readonly ask: (world: World, acls: AccessUser["acls"], version: number) => Promise<unknown>;
};

type RowOptions = Partial<Pick<PermissionRow, "part" | "granted" | "versions" | "toldBecause">> & {
  readonly needs: readonly Permission[];
  readonly refusal?: number;
};

export function row<Q extends Shape, S extends Shape>(
  api: Api<Q, S>,
  { needs, part = "", granted = [], refusal, versions = [api.first, api.last], toldBecause }: RowOptions,
  request: (world: World) => Encodable<Q>,
): PermissionRow {
  return {
    api,
    part,
    needs,
    granted,
    refusal,
    versions,
    toldBecause,
    ask: (world, acls, version) => {
      const authorizer = aclAuthorizer([{ name: USER, isSuperuser: false, acls }]);
      const peer = { ...testPeer(), principal: { name: USER } };
      return ask({ ...world.services, authorizer }, { api, version, request: request(world) }, peer);
    },
  };
}
