/**
 * The committed offsets of all groups: a view in memory over the engine's table. A position is durable before it is
 * visible here and before its sender hears of it.
 *
 * Committed offsets do not expire while their topic exists. Kafka forgets them seven days after a group's last activity;
 * a consumer that comes back after a long outage, which is what this product is for, must not start anew.
 */
import type { Clock } from "../../shared/clock.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import type { Partition } from "../../shared/ids.ts";
import type { Logger } from "../../shared/logger.ts";
import type { CommittedOffset, Engine, TopicPartition } from "../engine/engine.ts";
import type { CommittedPosition, OffsetToCommit } from "./groups.ts";

/** Of the text that a client keeps with a committed offset; Kafka's offset.metadata.max.bytes. */
export const OFFSET_METADATA_BYTES_MAX = 4096;

type Positions = Map<string, Map<Partition, CommittedPosition>>;

const noPositions: ReadonlyMap<string, ReadonlyMap<Partition, CommittedPosition>> = new Map();

/** The part of the engine that groups need. */
export type GroupEngine = Pick<
  Engine,
  "topics" | "commitOffsets" | "deleteOffsets" | "loadCommittedOffsets" | "saveGroup" | "loadGroups"
>;

type Rim = { readonly engine: GroupEngine; readonly clock: Clock; readonly logger: Logger };

export class CommittedOffsets {
  readonly #rim: Rim;
  readonly #positions = new Map<string, Positions>();
  /** The latest commit under way of each group; it settles when the commit is visible or has failed. */
  readonly #lastCommits = new Map<string, Promise<boolean>>();

  private constructor(rim: Rim) {
    this.#rim = rim;
  }

  static async open(rim: Rim): Promise<CommittedOffsets> {
    const offsets = new CommittedOffsets(rim);
    for (const [group, committed] of await rim.engine.loadCommittedOffsets()) offsets.#show(group, committed);
    return offsets;
  }

  groups(): Iterable<string> {
    return this.#positions.keys();
  }

  has(group: string): boolean {
    return this.#positions.has(group);
  }

  /** A live view. */
  of(group: string): ReadonlyMap<string, ReadonlyMap<Partition, CommittedPosition>> {
    return this.#positions.get(group) ?? noPositions;
  }

  /**
   * Commits the offsets that pass their checks; one result each, in order. Commits of one group become visible in the
   * order of the calls, even if the engine finishes them in another.
   */
  async commit(group: string, offsets: readonly OffsetToCommit[]): Promise<readonly (ErrorCode | null)[]> {
    const faults = offsets.map((offset) => this.#check(offset));
    const committedAt = this.#rim.clock.wallMs();
    const accepted = offsets
      .filter((_, index) => faults[index] === null)
      .map((offset): CommittedOffset => ({ ...offset, metadata: offset.metadata ?? "", committedAt }));
    if (accepted.length === 0 || (await this.#commitInOrder(group, accepted))) return faults;
    return faults.map((fault) => fault ?? "COORDINATOR_NOT_AVAILABLE");
  }

  /** Positions that were never committed count as deleted. @returns false when the engine failed; nothing changed then. */
  async delete(group: string, at: readonly TopicPartition[]): Promise<boolean> {
    const positions = this.#positions.get(group);
    const known = at.filter(({ topic, partition }) => positions?.get(topic)?.has(partition));
    if (known.length === 0) return true;
    try {
      await this.#rim.engine.deleteOffsets(group, known);
    } catch (error) {
      this.#rim.logger.warn({ group, error }, "deleting committed offsets failed");
      return false;
    }
    this.#hide(group, known);
    return true;
  }

  /** The engine has deleted the group and its offsets. */
  forgetGroup(group: string): void {
    this.#positions.delete(group);
  }

  /**
   * The engine has deleted the topic, and its committed offsets with it. They vanish from the view first: a new topic of
   * the name must not inherit them. A commit that was under way may have reached the engine late, hence the deletion.
   */
  async forgetTopic(group: string, topic: string): Promise<void> {
    const partitions = this.#positions.get(group)?.get(topic);
    if (partitions === undefined) return;
    const at = [...partitions.keys()].map((partition) => ({ topic, partition }));
    this.#hide(group, at);
    await this.#rim.engine.deleteOffsets(group, at);
  }

  isKnown({ topic, partition }: TopicPartition): boolean {
    const info = this.#rim.engine.topics.get(topic);
    return info !== undefined && Number.isInteger(partition) && partition >= 0 && partition < info.partitionCount;
  }

  #check(offset: OffsetToCommit): ErrorCode | null {
    if (!this.isKnown(offset)) return "UNKNOWN_TOPIC_OR_PARTITION";
    const bytes = Buffer.byteLength(offset.metadata ?? "");
    return bytes > OFFSET_METADATA_BYTES_MAX ? "OFFSET_METADATA_TOO_LARGE" : null;
  }

  async #commitInOrder(group: string, accepted: readonly CommittedOffset[]): Promise<boolean> {
    const durable = this.#rim.engine.commitOffsets(group, accepted);
    const turn = Promise.allSettled([durable, this.#lastCommits.get(group)]).then(([outcome]) => {
      if (outcome.status === "fulfilled") this.#show(group, accepted);
      else this.#rim.logger.warn({ group, error: outcome.reason }, "committing offsets failed");
      return outcome.status === "fulfilled";
    });
    this.#lastCommits.set(group, turn);
    const isCommitted = await turn;
    if (this.#lastCommits.get(group) === turn) this.#lastCommits.delete(group);
    return isCommitted;
  }

  #hide(group: string, at: readonly TopicPartition[]): void {
    const positions = this.#positions.get(group);
    for (const { topic, partition } of at) {
      const partitions = positions?.get(topic);
      partitions?.delete(partition);
      if (partitions?.size === 0) positions?.delete(topic);
    }
    if (positions?.size === 0) this.#positions.delete(group);
  }

  #show(group: string, committed: readonly CommittedOffset[]): void {
    if (committed.length === 0) return;
    const positions: Positions = this.#positions.get(group) ?? new Map();
    this.#positions.set(group, positions);
    for (const { topic, partition, offset, leaderEpoch, metadata, committedAt } of committed) {
      const partitions = positions.get(topic) ?? new Map<Partition, CommittedPosition>();
      positions.set(topic, partitions);
      partitions.set(partition, { offset, leaderEpoch, metadata, committedAt });
    }
  }
}
