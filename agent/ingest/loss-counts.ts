/** Records that were accepted and will never arrive, by topic and reason, since the start (G3: no silent loss). */
import type { LossReason } from "../../shared/uplink/frames.ts";

export type LossCount = { readonly topic: string; readonly reason: LossReason; readonly records: number };

export class LossCounts {
  /** Bounded by the agent's topics and the five reasons. */
  readonly #counts = new Map<string, Map<LossReason, number>>();

  add(topic: string, reason: LossReason, records: number): void {
    if (records <= 0) return;
    const ofTopic = this.#counts.get(topic) ?? new Map<LossReason, number>();
    ofTopic.set(reason, (ofTopic.get(reason) ?? 0) + records);
    this.#counts.set(topic, ofTopic);
  }

  list(): LossCount[] {
    return [...this.#counts].flatMap(([topic, ofTopic]) =>
      [...ofTopic].map(([reason, records]) => ({ topic, reason, records })),
    );
  }
}
