/** Messages of one commit that were taken and are not stored, by the partition they would have gone to and why. */
import { StreamError } from "../../shared/errors.ts";
import type { Offset, Partition } from "../../shared/ids.ts";
import type { LossReason } from "../../shared/uplink/frames.ts";
import type { Drop } from "../ledger/loss-ledger.ts";
import type { RoutedTopic } from "./route-table.ts";
import type { TopicLanes } from "./topic-lanes.ts";

/** A live view: a drop comes before what the partition holds when its commit is made. */
export type DropPlace = { readonly topic: string; readonly partition: Partition; readonly logEndOffset: Offset };

type Count = { readonly place: DropPlace; readonly reason: LossReason; records: number; unanswered: number };

export class Drops {
  /** Bounded by the agent's partitions and the reasons. */
  readonly #counts = new Map<string, Count>();

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  /** `unanswered`: those whose publisher does not wait for the commit (QoS 0); they are lost whatever becomes of it. */
  add(place: DropPlace, reason: LossReason, { records = 1, unanswered = 0 } = {}): void {
    const key = `${place.topic}/${place.partition} ${reason}`;
    const known = this.#counts.get(key);
    if (known === undefined) this.#counts.set(key, { place, reason, records, unanswered });
    else {
      known.records += records;
      known.unanswered += unanswered;
    }
  }

  absorb(other: Drops): void {
    for (const { place, reason, records, unanswered } of other.#counts.values()) {
      this.add(place, reason, { records, unanswered });
    }
  }

  /** The commit failed: what was to be answered is refused and not lost, the rest goes with the next one. */
  absorbUnanswered(other: Drops): void {
    for (const { place, reason, unanswered } of other.#counts.values()) {
      if (unanswered > 0) this.add(place, reason, { records: unanswered, unanswered });
    }
  }

  list(): Drop[] {
    return Array.from(this.#counts.values(), ({ place, reason, records }) => ({
      topic: place.topic,
      partition: place.partition,
      at: place.logEndOffset,
      reason,
      records,
    }));
  }
}

/** Where the message would go. */
export function placeOf({ target, keyHash }: RoutedTopic<TopicLanes>): DropPlace {
  return target.lane(keyHash).partition;
}

/** A topic that has no partitions yet; its losses are told by the first one. */
export function unmadePlace({ name: topic }: TopicLanes): DropPlace {
  return { topic, partition: 0, logEndOffset: 0 };
}

/** Why records of a commit that failed are lost, where their publishers do not wait for an answer. */
export function lossReason(error: Error): "overflow" | "overload" {
  return error instanceof StreamError && error.code === "LOG_FULL" ? "overflow" : "overload";
}
