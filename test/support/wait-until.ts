/** Waits for a state that nobody announces, of another process mostly. */
import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 20;

export type WaitOptions = {
  /** What is waited for, as the error says it. */
  readonly what: string;
  readonly deadlineMs: number;
  /** Told in the error: how things stood at the end. */
  readonly describe?: () => string;
};

/** Returns the first truthy answer of `probe`. A probe that throws counts as "not yet"; its last error is told at the deadline. */
export async function waitUntil<Value>(
  probe: () => Value | undefined | false | Promise<Value | undefined | false>,
  { what, deadlineMs, describe }: WaitOptions,
): Promise<Value> {
  const endMs = performance.now() + deadlineMs;
  for (;;) {
    let failure: unknown;
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > endMs) {
      const state = describe === undefined ? "" : `: ${describe()}`;
      throw new Error(`waited ${deadlineMs} ms in vain for ${what}${state}`, { cause: failure });
    }
    await delay(POLL_MS);
  }
}
