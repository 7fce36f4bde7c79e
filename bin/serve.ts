/**
 * The life of `tributary hub` and `tributary agent`: start, say what was bound, run until told to stop, stop in order.
 *
 *   start ──▶ ready line ──▶ SIGTERM, SIGINT or a fatal error ──▶ close ──▶ end
 *                                    └─ a second signal ──▶ end at once (130)
 *
 * A signal during the start is kept until the start is over, because a half-started program cannot be closed in order.
 */
import { StreamError } from "../shared/errors.ts";
import { collectAfterStart } from "../shared/old-garbage.ts";
import { writeLine } from "./context.ts";
import type { CommandContext } from "./context.ts";
import { interruptSignal, whenAborted } from "./interrupt.ts";

/** What a started hub or agent looks like from outside. */
export type RunningProgram = {
  /** HOST:PORT as really bound, by the listener's name. */
  readonly addresses: Readonly<Record<string, string | undefined>>;
  /** Resolves when the program cannot go on. */
  readonly failed: Promise<Error>;
  /** Stops accepting, commits, acknowledges, closes. */
  close(): Promise<void>;
};

/** Supervisors kill after 10 s or more; what is not closed by then is not acknowledged either, so nothing is lost. */
const CLOSE_MS_MAX = 9000;

/** @throws the error of the start, the fatal error, or TIMEOUT when closing takes too long. */
export async function serve(
  name: "hub" | "agent",
  start: () => Promise<RunningProgram>,
  context: CommandContext,
): Promise<void> {
  const interrupt = interruptSignal(context);
  try {
    const running = await start();
    const { addresses } = running;
    if (!interrupt.signal.aborted) await writeLine(context.stdout, JSON.stringify({ ready: name, ...addresses }));
    collectAfterStart();
    const failure = await Promise.race([running.failed, whenAborted(interrupt.signal)]);
    await closeInTime(name, running);
    if (failure !== undefined) throw failure;
  } finally {
    interrupt.dispose();
  }
}

export async function closeInTime(name: string, running: Pick<RunningProgram, "close">): Promise<void> {
  const tooLate = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const error = new StreamError("TIMEOUT", `the ${name} did not close within ${CLOSE_MS_MAX / 1000} s`, {
      hint: "It ends now; what was not acknowledged yet is sent again by its peer. Nothing acknowledged is lost.",
    });
    tooLate.reject(error);
  }, CLOSE_MS_MAX);
  try {
    await Promise.race([running.close(), tooLate.promise]);
  } finally {
    clearTimeout(timer);
  }
}
