/**
 * What the log holds of a compacted topic, against what was acknowledged of it or shown to a reader. Pure.
 *
 * Any record may be gone for which a newer one of its key is there, or was to come and is a tombstone. What is there is at its own
 * offset, as it was sent, once; of no key is there something older than what was acknowledged last.
 */
import { ID_HEADER, isTombstone, keyOf, numberOf, valueOf } from "./producer-records.ts";
import type { StoredRecord } from "../../../shared/record.ts";
import type { Finding, FoundPartition } from "./witness.ts";

export type KeyedRecord = { readonly id: string; readonly isAsSent: boolean };

/** Undefined for a record of other topics. */
export function keyedRecord({ key, value, headers }: StoredRecord): KeyedRecord | undefined {
  const id = headers.find((header) => header.key === ID_HEADER)?.value?.toString();
  if (id === undefined) return undefined;
  const isValueAsSent = isTombstone(id) ? value === null : value?.toString() === valueOf(id);
  return { id, isAsSent: isValueAsSent && key?.toString() === keyOf(id) };
}

export type CompactedKnowledge = {
  readonly sent: ReadonlySet<string>;
  readonly placed: ReadonlyMap<string, { readonly partition: number; readonly offset: number; readonly key: string }>;
};

export function checkCompacted(
  name: string,
  { sent, placed }: CompactedKnowledge,
  partitions: readonly FoundPartition[],
): Finding[] {
  const findings: Finding[] = [];
  const newestFound = new Map<string, { readonly offset: number; readonly id: string }>();
  const seen = new Set<string>();
  for (const at of partitions) {
    const where = `${name}/${at.partition}`;
    if (at.start !== 0) findings.push({ kind: "gap", text: `${where} starts at ${at.start}` });
    for (const [offset, { id, isAsSent }] of at.keyed) {
      const known = placed.get(`${at.partition}/${offset}`);
      if (known !== undefined && known.key !== id) {
        findings.push({ kind: "missing", text: `${where}: ${known.key} was at offset ${offset}, there is ${id}` });
      }
      if (!isAsSent) findings.push({ kind: "missing", text: `${where}: ${id} at ${offset} is not as it was sent` });
      if (!sent.has(id)) findings.push({ kind: "unknown", text: `${where}: ${id} at ${offset}` });
      if (seen.has(id)) findings.push({ kind: "repeated", text: `${where}: ${id} at ${offset}` });
      seen.add(id);
      const before = newestFound.get(keyOf(id));
      if (before !== undefined && numberOf(before.id) > numberOf(id)) {
        findings.push({ kind: "unordered", text: `${where}: ${id} after ${before.id}` });
      }
      newestFound.set(keyOf(id), { offset, id });
    }
  }
  const ends = new Map(partitions.map(({ partition, end }) => [partition, end]));
  const newestKnown = new Map<string, { readonly partition: number; readonly offset: number; readonly key: string }>();
  for (const each of placed.values()) {
    const { partition, offset, key } = each;
    if ((ends.get(partition) ?? 0) <= offset) {
      findings.push({ kind: "missing", text: `${name}/${partition} ends before ${offset}, where ${key} was` });
    }
    if ((newestKnown.get(keyOf(key))?.offset ?? -1) < offset) newestKnown.set(keyOf(key), each);
  }
  for (const [key, { partition, offset, key: id }] of newestKnown) {
    const found = newestFound.get(key);
    if (found !== undefined && found.offset < offset) {
      const text = `${name}/${partition}: ${found.id} is the newest of ${key}, after ${id} at ${offset}`;
      findings.push({ kind: "returned", text });
    }
    if (found === undefined && !mayBeDeleted(key, numberOf(id), sent)) {
      findings.push({ kind: "missing", text: `${name}/${partition}: nothing of ${key}, ${id} was at ${offset}` });
    }
  }
  return findings;
}

/** A tombstone that nobody has heard of yet may have been stored, and have gone, too. */
function mayBeDeleted(key: string, numberMin: number, sent: ReadonlySet<string>): boolean {
  for (const id of sent) if (keyOf(id) === key && numberOf(id) >= numberMin && isTombstone(id)) return true;
  return false;
}
