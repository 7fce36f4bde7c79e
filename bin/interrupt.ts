/** Ctrl-C and SIGTERM for commands that read until they are told to stop. */
import type { CommandContext } from "./context.ts";
import { exitCodes } from "./failure.ts";

export type Interrupt = {
  /** Aborts at the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  /** Aborts as a signal would. */
  readonly end: () => void;
  /** Gives the signals back. */
  readonly dispose: () => void;
};

/**
 * Signals closer together count as one: npm passes on the Ctrl-C that the terminal has already sent to the whole group,
 * and that is no impatience.
 */
const SAME_SIGNAL_MS = 1000;

/** The first signal asks for an orderly end, a second one ends the process at once. */
export function interruptSignal(context: CommandContext): Interrupt {
  const controller = new AbortController();
  let firstAtMs: number | undefined;
  const onSignal = (): void => {
    const nowMs = context.clock.monotonicMs();
    firstAtMs ??= nowMs;
    if (nowMs - firstAtMs >= SAME_SIGNAL_MS) context.exitNow(exitCodes.interrupted);
    controller.abort();
  };
  context.signals.on("SIGINT", onSignal);
  context.signals.on("SIGTERM", onSignal);
  return {
    signal: controller.signal,
    end: () => controller.abort(),
    dispose: () => {
      context.signals.off("SIGINT", onSignal);
      context.signals.off("SIGTERM", onSignal);
    },
  };
}

/** Resolves, never rejects, when the signal comes. */
export function whenAborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined), { once: true }));
}

export function isBrokenPipe(error: Error): boolean {
  return (error as NodeJS.ErrnoException).code === "EPIPE";
}
