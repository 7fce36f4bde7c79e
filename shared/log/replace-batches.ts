/**
 * The writing half of compaction, within the writer's transaction. A batch is replaced only if its row still is what the
 * cleaner read: trimmed and swept ones are left alone, and so is the newest batch, because the log's end is its end.
 */
import type { Offset } from "../ids.ts";
import { unreachable } from "../invariant.ts";
import type { Replacement } from "./compaction-messages.ts";
import type { LogStatements } from "./log-statements.ts";
import { batchKey } from "./schema.ts";

type Place = { readonly id: number; readonly logEndOffset: Offset };

/** Returns by how many bytes the partition has grown: seldom more than 0. */
export function replaceBatches(
  statements: LogStatements,
  place: Place,
  replacements: readonly Replacement[],
  bytes: Buffer,
): number {
  let grown = 0;
  for (const each of replacements) {
    if (each.baseOffset + each.lastOffsetDeltaBefore + 1 >= place.logEndOffset) continue;
    const isReplaced = replace(statements, batchKey(place.id, each.baseOffset), each, bytes);
    if (isReplaced) grown += sizeAfter(each) - each.bytesBefore;
  }
  return grown;
}

function replace(statements: LogStatements, key: bigint, replacement: Replacement, bytes: Buffer): boolean {
  const { lastOffsetDeltaBefore, bytesBefore } = replacement;
  switch (replacement.type) {
    case "remove":
      return statements.remove.run(key, lastOffsetDeltaBefore, bytesBefore).changes > 0;
    case "restamp":
      return statements.restamp.run(replacement.maxTimestamp, key, lastOffsetDeltaBefore, bytesBefore).changes > 0;
    case "rewrite": {
      const { lastOffsetDelta, maxTimestamp, from, to } = replacement;
      const batch = bytes.subarray(from, to);
      const { changes } = statements.rewrite.run(
        ...([lastOffsetDelta, maxTimestamp, batch, key, lastOffsetDeltaBefore, bytesBefore] as const),
      );
      return changes > 0;
    }
    default:
      return unreachable(replacement);
  }
}

function sizeAfter(replacement: Replacement): number {
  switch (replacement.type) {
    case "remove":
      return 0;
    case "restamp":
      return replacement.bytesBefore;
    case "rewrite":
      return replacement.to - replacement.from;
    default:
      return unreachable(replacement);
  }
}
