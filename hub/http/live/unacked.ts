/** What a member of a group has been given and has not said it is done with. Pure. */
import type { Offset } from "../../../shared/ids.ts";
import type { TopicPartition } from "../../engine/engine.ts";

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

/** `taken`: it moves the position. `unknown`: the partition is not the member's, others will get the record. */
export type AckVerdict = "taken" | "old" | "unknown" | "ahead";

export class Unacked {
  /** Offsets in the order in which they were given, by partition. */
  readonly #given = new Map<string, { last: Offset; readonly waiting: Offset[] }>();
  #count = 0;

  /** Records that are not acknowledged, of all partitions. */
  get count(): number {
    return this.#count;
  }

  countOf(at: TopicPartition): number {
    return this.#given.get(keyOf(at))?.waiting.length ?? 0;
  }

  begin(at: TopicPartition): void {
    this.#given.set(keyOf(at), { last: -1, waiting: [] });
  }

  give(at: TopicPartition, offsets: readonly Offset[]): void {
    const given = this.#given.get(keyOf(at));
    if (given === undefined) return;
    given.waiting.push(...offsets);
    given.last = offsets.at(-1) ?? given.last;
    this.#count += offsets.length;
  }

  /** Also of everything before `offset` in its partition. */
  ack(at: TopicPartition, offset: Offset): AckVerdict {
    const given = this.#given.get(keyOf(at));
    if (given === undefined) return "unknown";
    if (offset > given.last) return "ahead";
    const rest = given.waiting.findIndex((each) => each > offset);
    const done = rest === -1 ? given.waiting.length : rest;
    given.waiting.splice(0, done);
    this.#count -= done;
    return done > 0 ? "taken" : "old";
  }

  end(at: TopicPartition): void {
    this.#count -= this.countOf(at);
    this.#given.delete(keyOf(at));
  }
}
