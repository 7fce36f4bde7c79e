/**
 * Who shall own which partitions: the table of assignors, and what each is given. An assignor is a pure function; it
 * never gives a partition to two members, and none to a member that is not subscribed to its topic.
 */
import type { PartitionSet, TopicId } from "./partitions.ts";
import { assignRanges } from "./range-assignor.ts";
import { assignUniformly } from "./uniform-assignor.ts";

export type AssignorInput = {
  /** In the order of joining. */
  readonly members: readonly AssignableMember[];
  readonly topics: ReadonlyMap<TopicId, { readonly partitionCount: number }>;
};

export type AssignableMember = {
  readonly memberId: string;
  readonly instanceId: string | null;
  /** Topics that are not in `topics` do not exist. */
  readonly subscribed: ReadonlySet<TopicId>;
  /** What was dealt to it the last time. */
  readonly target: PartitionSet;
};

/** By member id; everybody has an entry. */
export type AssignorResult = Map<string, PartitionSet>;

export type Assignor = (input: AssignorInput) => AssignorResult;

/** Kafka's names for them. */
export const assignors: ReadonlyMap<string, Assignor> = new Map([
  ["uniform", assignUniformly],
  ["range", assignRanges],
]);
