/** A second cut: a program goes on with what a first one has left, at any point of its first life, and is cut again at any point. */
import { rmSync } from "node:fs";
import path from "node:path";
import { seededRandom } from "../../../bin/demo/random.ts";
import { fates, runCampaign } from "./campaign.ts";
import type { Campaign, CampaignResult } from "./campaign.ts";
import type { Entry } from "./journal.ts";
import { recordAfterCut } from "./record-after-cut.ts";
import type { SecondLife } from "./record-after-cut.ts";

export type CutTwice = {
  /** Of the first life. */
  readonly entries: readonly Entry[];
  readonly scratch: string;
  readonly data: string;
  readonly seed: number;
  readonly firstCuts: number;
  /** After each of the first. */
  readonly secondCuts: number;
  readonly live: (second: SecondLife, number: number) => Promise<void>;
  readonly options?: Pick<Campaign, "resendsEvery" | "check">;
};

export type CutTwiceResult = Pick<CampaignResult, "cuts" | "ackedCount" | "failures" | "salvages"> & {
  readonly missing: number;
};

const orders = ["ordered", "strict"] as const;

export async function cutTwice(campaign: CutTwice): Promise<CutTwiceResult> {
  const { entries, scratch, data, seed, firstCuts, secondCuts, live } = campaign;
  const random = seededRandom(seed ^ 0x2c1b3c6d);
  const results: CampaignResult[] = [];
  for (let number = 0; number < firstCuts; number++) {
    const [at, fate] = [Math.floor(random.next() * entries.length), fates[number % fates.length] ?? "dropped"];
    const order = orders[number % orders.length] ?? "ordered";
    const directory = path.join(scratch, `again-${number}`);
    const first = `first cut ${number} after entry ${at}, ${order}, ${fate}`;
    const again = await recordAfterCut(directory, { entries, at, fate, order, seed: seed + number }, (second) =>
      live(second, number),
    ).catch((error: unknown) => {
      throw new Error(`${first}: the second life failed`, { cause: error });
    });
    const common = { ...again, data, scratch: directory, seed, cuts: secondCuts, order };
    const result = runCampaign({ ...common, ...campaign.options });
    results.push({ ...result, failures: result.failures.map((each) => `${first}; second: ${each}`) });
    rmSync(directory, { recursive: true });
  }
  return {
    cuts: results.reduce((sum, { cuts }) => sum + cuts, 0),
    ackedCount: Math.max(...results.map(({ ackedCount }) => ackedCount)),
    missing: results.reduce((sum, { counts }) => sum + counts.missing, 0),
    failures: results.flatMap(({ failures }) => failures),
    salvages: results.flatMap(({ salvages }) => salvages),
  };
}
