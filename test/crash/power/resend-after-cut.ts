/** What producers do after a cut: each sends again what was not answered, and goes on. Each batch must be stored once. */
import { openCut } from "./open-cut.ts";
import { batchOf, idsOf } from "./producer-records.ts";
import { unansweredIn } from "./unanswered.ts";
import { Witness } from "./witness.ts";
import type { Finding, Note } from "./witness.ts";

export type Resent = { readonly resent: number; readonly duplicates: number; readonly findings: readonly Finding[] };

/** `notes`: what was known before the cut. @throws when the log refuses a batch. */
export function resendAfterCut(directory: string, notes: readonly Note[]): Resent {
  const witness = new Witness();
  for (const note of notes) witness.hear(note);
  let [resent, duplicates] = [0, 0];
  const found = openCut(directory, [], (append) => {
    for (const { plan, from, sent, goesOn } of unansweredIn(notes)) {
      const { topic, partition } = plan;
      for (let batch = from; batch < (goesOn ? sent + 1 : sent); batch++) {
        const keys = idsOf(plan, batch);
        witness.hear({ type: "sending", topic, keys });
        const { baseOffset, duplicate } = append(plan, batchOf(plan, batch));
        witness.hear({ type: "acked", topic, partition, offset: baseOffset, keys });
        if (batch === sent) continue;
        resent++;
        if (duplicate) duplicates++;
      }
    }
  });
  return { resent, duplicates, findings: witness.check(found) };
}
