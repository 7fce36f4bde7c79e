/** Writes to a peer no faster than it reads: what it has not taken is one piece, and one that takes nothing is given up. */
import { once } from "node:events";
import type { Writable } from "node:stream";
import { StreamError } from "../../../shared/errors.ts";

/** A reader that takes nothing for so long is gone. */
export const STALL_MS_MAX = 60_000;

/** Resolves when the peer can take more. @throws StreamError TIMEOUT when it does not; AbortError when `closed` is aborted. */
export async function writePaced(
  stream: Writable,
  text: string,
  { closed, stallMsMax = STALL_MS_MAX }: { readonly closed: AbortSignal; readonly stallMsMax?: number },
): Promise<void> {
  if (stream.write(text)) return;
  const stalled = AbortSignal.timeout(stallMsMax);
  try {
    await once(stream, "drain", { signal: AbortSignal.any([closed, stalled]) });
  } catch (error) {
    if (!stalled.aborted) throw error;
    throw new StreamError("TIMEOUT", `the reader took nothing for ${stallMsMax} ms`);
  }
}
