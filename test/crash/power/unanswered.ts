/** What each producer has to send again after a cut, by the notes before it. Pure. */
import { IN_FLIGHT_MAX } from "./retrying-producer.ts";
import type { ProducerPlan } from "./producer-records.ts";
import type { Note } from "./witness.ts";

export type Unanswered = {
  readonly plan: ProducerPlan;
  /** The first batch that is sent again. */
  readonly from: number;
  /** The end of what was sent; the next batch is new. */
  readonly sent: number;
  /** False where another producer has followed it in its partition. */
  readonly goesOn: boolean;
};

/**
 * The last five that were sent: all that were not answered are among them, and so are some that were, which a client repeats
 * when the cut took the connection before the answer.
 */
export function unansweredIn(notes: readonly Note[]): Unanswered[] {
  const plans = new Map<string, { readonly plan: ProducerPlan; sent: number }>();
  for (const note of notes) {
    if (note.type === "producer") plans.set(note.plan.name, { plan: note.plan, sent: 0 });
    if (note.type !== "sending" || note.by === undefined) continue;
    const known = plans.get(note.by.producer);
    if (known !== undefined) known.sent = Math.max(known.sent, note.by.batch + 1);
  }
  const newest = new Map([...plans.values()].map(({ plan }) => [`${plan.topic}/${plan.partition}`, plan]));
  return [...plans.values()].map(({ plan, sent }) => ({
    plan,
    from: Math.max(0, sent - IN_FLIGHT_MAX),
    sent,
    goesOn: newest.get(`${plan.topic}/${plan.partition}`) === plan,
  }));
}
