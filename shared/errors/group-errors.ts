/** Of consumer groups, of either protocol. */
import type { ErrorRow } from "./error-row.ts";

export const groupErrors = {
  INVALID_GROUP_ID: {
    retriable: false,
    wire: 24,
    meaning: "The group id is empty or too long.",
    hint: "Name the group.",
  },
  UNKNOWN_MEMBER_ID: {
    retriable: false,
    wire: 25,
    meaning: "The group does not know this member: it left, or its session expired.",
    hint: "The member joins again; if it happens often, poll more often or raise the session timeout.",
  },
  ILLEGAL_GENERATION: {
    retriable: false,
    wire: 22,
    meaning: "The request is of an older generation of the group.",
    hint: "The member joins again.",
  },
  INCONSISTENT_GROUP_PROTOCOL: {
    retriable: false,
    wire: 23,
    meaning: "The member supports no assignment protocol that all members support.",
    hint: "Give all members of the group the same partition assignment strategy.",
  },
  INVALID_SESSION_TIMEOUT: {
    retriable: false,
    wire: 26,
    meaning: "The session timeout is outside the hub's bounds.",
    hint: "Choose one between 6 seconds and 5 minutes, or change the hub's bounds.",
  },
  REBALANCE_IN_PROGRESS: {
    retriable: false,
    wire: 27,
    meaning: "The group is being rebalanced.",
    hint: "The member joins again.",
  },
  MEMBER_ID_REQUIRED: {
    retriable: false,
    wire: 79,
    meaning: "The member must join again with the id it was given (KIP-394).",
    hint: "Clients do this by themselves.",
  },
  FENCED_INSTANCE_ID: {
    retriable: false,
    wire: 82,
    meaning: "Another member uses the same group.instance.id.",
    hint: "Give each instance its own id.",
  },
  GROUP_MAX_SIZE_REACHED: {
    retriable: false,
    wire: 81,
    meaning: "The group or the hub has as many members or groups as it may.",
    hint: "Use fewer members or raise the limit.",
  },
  NON_EMPTY_GROUP: {
    retriable: false,
    wire: 68,
    meaning: "The group still has members.",
    hint: "Stop its members first.",
  },
  GROUP_ID_NOT_FOUND: { retriable: false, wire: 69, meaning: "There is no such group.", hint: "Check the name." },
  GROUP_SUBSCRIBED_TO_TOPIC: {
    retriable: false,
    wire: 86,
    meaning: "A member of the group still reads the topic.",
    hint: "Stop it first.",
  },
  COORDINATOR_NOT_AVAILABLE: {
    retriable: true,
    wire: 15,
    meaning: "The group coordinator is not ready.",
    hint: "Clients try again by themselves.",
  },
  FENCED_MEMBER_EPOCH: {
    retriable: false,
    wire: 110,
    meaning: "The request carries another member epoch than the member has (KIP-848).",
    hint: "The member gives up its partitions and joins again; clients do this by themselves.",
  },
  UNRELEASED_INSTANCE_ID: {
    retriable: false,
    wire: 111,
    meaning: "A living member uses the same group.instance.id.",
    hint: "Give each instance its own id; after a crash wait until the session of the old one has ended.",
  },
  UNSUPPORTED_ASSIGNOR: {
    retriable: false,
    wire: 112,
    meaning: "The hub has no assignor of this name.",
    hint: "Set group.remote.assignor to uniform or range, or leave it out.",
  },
  STALE_MEMBER_EPOCH: {
    retriable: false,
    wire: 113,
    meaning: "The offset is committed or fetched in a member epoch that is over (KIP-848).",
    hint: "The client learns the new epoch with its next heartbeat and tries again.",
  },
  INVALID_REGULAR_EXPRESSION: {
    retriable: false,
    wire: 128,
    meaning: "The regular expression of a subscription is not valid, or too large.",
    hint: "It is RE2 syntax, matches whole topic names, and must stay below the limits that the message names.",
  },
  OFFSET_METADATA_TOO_LARGE: {
    retriable: false,
    wire: 12,
    meaning: "The text kept with a committed offset is too long.",
    hint: "At most 4096 bytes.",
  },
} as const satisfies Record<string, ErrorRow>;
