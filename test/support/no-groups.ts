/** Consumer groups for tests that have none: an answer for everything, a member for nobody. */
import type { Groups } from "../../hub/group/groups.ts";

const dead = { protocolType: "", protocolName: "", state: "Dead" as const, members: [] };

export function noGroups(overrides: Partial<Groups> = {}): Groups {
  return {
    join: async ({ memberId }) => ({
      error: "COORDINATOR_NOT_AVAILABLE",
      generation: -1,
      protocolType: null,
      protocolName: null,
      leader: "",
      memberId,
      skipAssignment: false,
      members: [],
    }),
    sync: async () => ({
      error: "UNKNOWN_MEMBER_ID",
      protocolType: null,
      protocolName: null,
      assignment: Buffer.alloc(0),
    }),
    consumerHeartbeat: async ({ epoch }) => ({
      error: "UNKNOWN_MEMBER_ID",
      message: "there are no groups",
      memberId: null,
      epoch,
      heartbeatIntervalMs: 0,
      assignment: null,
    }),
    checkOffsetFetch: () => null,
    describeConsumer: () => undefined,
    heartbeat: () => "UNKNOWN_MEMBER_ID",
    leave: async (_group, members) => ({
      error: null,
      members: members.map((member) => ({ ...member, error: "UNKNOWN_MEMBER_ID" as const })),
    }),
    commit: async ({ offsets }) => offsets.map(() => null),
    committed: () => new Map(),
    list: () => [],
    describe: (group) => ({ group, ...dead }),
    delete: async () => "GROUP_ID_NOT_FOUND",
    deleteOffsets: async (_group, at) => ({ error: null, partitions: at.map(() => null) }),
    forgetTopic: async () => undefined,
    close: async () => undefined,
    ...overrides,
  };
}
