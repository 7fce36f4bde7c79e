/** Many cuts of one recorded run: replays its journal once, and at each chosen place opens and judges what a cut leaves. */
import { rmSync } from "node:fs";
import path from "node:path";
import { seededRandom } from "../../../bin/demo/random.ts";
import type { LogExtension } from "../../../shared/log/extension.ts";
import { Disk } from "./disk.ts";
import type { Order } from "./disk.ts";
import type { Fate } from "./disk-file.ts";
import { noteOf } from "./journal.ts";
import type { Entry } from "./journal.ts";
import { openCut } from "./open-cut.ts";
import { resendAfterCut } from "./resend-after-cut.ts";
import { findingKinds, Witness } from "./witness.ts";
import type { Finding, Found, Note } from "./witness.ts";

export const fates: readonly Fate[] = ["dropped", "kept", "prefix", "subset", "torn", "garbage"];
const FINDINGS_SHOWN_MAX = 5;
const PERCENT = 100;

export type Before = {
  /** As the watched one was. */
  readonly directory: string;
  readonly notes: readonly Note[];
};

export type Campaign = {
  readonly entries: readonly Entry[];
  /** Of the log, below the watched directory. */
  readonly data: string;
  /** Where the directories of the cuts are made, one at a time. */
  readonly scratch: string;
  readonly seed: number;
  readonly cuts: number;
  readonly order: Order;
  /** A cut after every change and flush, whatever `cuts` says. */
  readonly isEveryPlace?: boolean;
  readonly extensions?: readonly LogExtension[];
  /** The disk only pretends to make this share of the flushes. */
  readonly lostFlushPercent?: number;
  readonly isPageSpoilt?: boolean;
  /** After every so many of the cuts the producers of the notes send again what was not answered. */
  readonly resendsEvery?: number;
  /** What was there, and what was known, when the recording began. */
  readonly before?: Before;
  /** Finds more in what was opened and closed again, by what was noted before the cut. */
  readonly check?: (directory: string, notes: readonly Note[], found: Found) => readonly Finding[];
  /** Looks at a cut before it is opened. */
  readonly onCut?: (directory: string, cut: { number: number; at: number }) => void;
  /** And when it was. */
  readonly onFound?: (found: Found) => void;
};

export type CampaignResult = {
  readonly cuts: number;
  /** Cuts before which something had been acknowledged. */
  readonly tellingCuts: number;
  readonly ackedCount: number;
  /** Cuts after which something was found, by kind. */
  readonly counts: Readonly<Record<Finding["kind"], number>>;
  /** What made the log take itself for damaged, each with what repeats it. */
  readonly salvages: readonly string[];
  /** Batches that were sent again after the cuts, and those of them that were there already. */
  readonly resent: number;
  readonly duplicates: number;
  /** The log did not open. */
  readonly unopened: number;
  /** What was found, each with what repeats it. */
  readonly failures: readonly string[];
};

/** Cut places are those of changes and flushes; between two notes nothing on the disk differs. */
function chooseCuts({ entries, cuts: count, seed, isEveryPlace = false }: Campaign): number[] {
  const random = seededRandom(seed);
  const places = entries.filter(({ kind }) => kind !== "note").map(({ index }) => index);
  if (isEveryPlace) return places;
  const chosen = Array.from({ length: count }, () => places[Math.floor(random.next() * places.length)]!);
  return chosen.toSorted((a, b) => a - b);
}

export function runCampaign(campaign: Campaign): CampaignResult {
  const { entries, data, scratch, seed, order, lostFlushPercent = 0, isPageSpoilt = false } = campaign;
  const { resendsEvery = Infinity } = campaign;
  const chosen = chooseCuts(campaign);
  const disk = new Disk(order);
  const witness = new Witness();
  if (campaign.before !== undefined) disk.load(campaign.before.directory);
  const notes: Note[] = [...(campaign.before?.notes ?? [])];
  for (const each of notes) witness.hear(each);
  const liar = seededRandom(seed ^ 0x5bd1e995);
  const counts = Object.fromEntries(findingKinds.map((kind) => [kind, 0])) as Record<Finding["kind"], number>;
  const failures: string[] = [];
  const salvages: string[] = [];
  let [next, tellingCuts, unopened, resent, duplicates] = [0, 0, 0, 0, 0];

  const cutHere = (number: number, at: number): void => {
    const fate = fates[number % fates.length]!;
    const random = seededRandom(seed * 31 + number);
    const target = path.join(scratch, `cut-${number}`);
    disk.cut(target, { fate, isPageSpoilt }, random);
    campaign.onCut?.(target, { number, at });
    const name = `seed ${seed}, cut ${number} of ${chosen.length} after entry ${at}, ${order}, ${fate}`;
    try {
      const found = openCut(path.join(target, data), campaign.extensions ?? []);
      campaign.onFound?.(found);
      const isSalvaged = found.salvage !== undefined || found.incidents.length > 0;
      if (isSalvaged) salvages.push(`${name}: ${found.salvage ?? found.incidents.join(", ")}`);
      // A salvage skips offsets, and says so.
      const findings = witness.check(found).filter(({ kind }) => !isSalvaged || kind !== "gap");
      findings.push(...(campaign.check?.(path.join(target, data), notes, found) ?? []));
      if (number % resendsEvery === 0 && !isSalvaged) {
        const again = resendAfterCut(path.join(target, data), notes);
        resent += again.resent;
        duplicates += again.duplicates;
        findings.push(...again.findings);
      }
      for (const kind of new Set(findings.map((finding) => finding.kind))) counts[kind]++;
      if (findings.length > 0) {
        // One of a rare kind tells more than many of a common one.
        const rareFirst = findings.toSorted(
          (one, other) => Number(one.kind === "missing") - Number(other.kind === "missing"),
        );
        const shown = rareFirst.slice(0, FINDINGS_SHOWN_MAX).map(({ kind, text }) => `  ${kind}: ${text}`);
        failures.push([`${name}: ${findings.length} findings`, ...shown].join("\n"));
      }
    } catch (error) {
      unopened++;
      failures.push(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
    }
    rmSync(target, { recursive: true, force: true });
  };

  for (const entry of entries) {
    if (entry.kind === "note") {
      notes.push(noteOf(entry));
      witness.hear(notes.at(-1)!);
    } else disk.apply(entry, liar.next() * PERCENT < lostFlushPercent);
    for (; chosen[next] === entry.index; next++) {
      if (witness.ackedCount > 0) tellingCuts++;
      cutHere(next, entry.index);
    }
  }
  const { ackedCount } = witness;
  return { cuts: next, tellingCuts, ackedCount, counts, salvages, resent, duplicates, unopened, failures };
}
