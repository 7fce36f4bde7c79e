/** What reading with and without a group have in common: where records go, when to stop, what to do when the hub is away. */
import { setTimeout as delay } from "node:timers/promises";
import type { ConsumedRecord } from "./consumed-record.ts";
import { formatHubAddress } from "./address.ts";
import type { HubAccess } from "./access.ts";
import { isConnectionFailure, toHubFailure } from "./connect.ts";

/** Takes records in order; resolves when they have left the program. */
export type RecordSink = (records: readonly ConsumedRecord[]) => Promise<void>;

export type ReadingOptions = {
  readonly address: HubAccess;
  readonly sink: RecordSink;
  /** Ends the reading in an orderly way. */
  readonly signal: AbortSignal;
  /** Tells a person what is going on; not for machines. */
  readonly notice: (text: string) => void;
};

/** A session tells how its hub stands; each change is told to the reader's person once. */
export type HubWatch = { readonly isBack: () => void; readonly isLost: () => void };

const RECONNECT_DELAY_MS = 1000;
const FETCH_WAIT_MS = 500;
const FETCH_BYTES_MAX = 8 * 1024 * 1024;
const PARTITION_BYTES_MAX = 1024 * 1024;

/** What a fetch may bring; the hub answers earlier as soon as there is one byte. */
export const fetchOptions = {
  minBytes: 1,
  maxBytes: FETCH_BYTES_MAX,
  maxBytesPerPartition: PARTITION_BYTES_MAX,
  maxWaitTime: FETCH_WAIT_MS,
} as const;

/**
 * Runs `session` until it returns or the signal comes; a broken connection starts it anew, for as long as it takes,
 * because whoever follows a topic wants to go on when the hub is back.
 *
 * @throws StreamError for everything but a broken connection, and for that too when no session ever got through.
 */
export async function keepReading(options: ReadingOptions, session: (hub: HubWatch) => Promise<void>): Promise<void> {
  const at = formatHubAddress(options.address);
  let hasWorked = false;
  let isAway = false;
  const isBack = (): void => {
    if (isAway) options.notice(`connected to ${at} again`);
    hasWorked = true;
    isAway = false;
  };
  const isLost = (): void => {
    if (!isAway && hasWorked && !options.signal.aborted) {
      options.notice(`connection to ${at} lost, waiting for it to come back`);
      isAway = true;
    }
  };
  while (!options.signal.aborted) {
    try {
      return await session({ isBack, isLost });
    } catch (error) {
      if (options.signal.aborted) return;
      if (!hasWorked || !isConnectionFailure(error)) throw toHubFailure(error, options.address);
      isLost();
      // An abort ends the wait early; the loop's condition sees it.
      await delay(RECONNECT_DELAY_MS, undefined, { signal: options.signal }).catch(() => undefined);
    }
  }
}
