/**
 * How a command fails: one clear line with the code, what to do about it, and an exit code from sysexits.h that
 * supervisors and scripts can tell apart.
 */
import { toStreamError } from "../shared/errors.ts";
import type { ErrorCode, StreamError } from "../shared/errors.ts";
import type { Paint } from "./context.ts";

export const exitCodes = {
  success: 0,
  failure: 1,
  /** The command line itself is wrong (EX_USAGE). */
  usage: 64,
  /** Something needed is taken or away: a port, the data directory, the hub (EX_UNAVAILABLE). */
  unavailable: 69,
  /** The configuration is wrong; a restart does not help (EX_CONFIG). */
  configuration: 78,
  /** A second signal asked to end without tidying up (128 + SIGINT). */
  interrupted: 130,
} as const;

const exitCodeOf: Partial<Record<ErrorCode, number>> = {
  CONFIG_INVALID: exitCodes.configuration,
  LISTENER_NOT_PROTECTED: exitCodes.configuration,
  CERTIFICATE_INVALID: exitCodes.configuration,
  PORT_IN_USE: exitCodes.unavailable,
  LOG_LOCKED: exitCodes.unavailable,
  LOG_DIRECTORY: exitCodes.unavailable,
  LOG_NOT_ALLOWED: exitCodes.configuration,
  HUB_UNREACHABLE: exitCodes.unavailable,
};

/** The command line asks for something that does not exist or contradicts itself; told like commander's own errors. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export function exitCodeFor(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage;
  return exitCodeOf[toStreamError(error).code] ?? exitCodes.failure;
}

/** What goes to stderr. An unexpected error keeps its stack, because only that makes a useful report. */
export function describeFailure(error: unknown, paint: Paint): string {
  if (error instanceof UsageError) return `${paint.bad("error:")} ${error.message}`;
  const failure = toStreamError(error);
  const lines = [`${paint.bad("error:")} ${failure.message}`];
  for (const problem of problemsOf(failure)) lines.push(`  - ${problem}`);
  lines.push(`${paint.faint("hint:")}  ${failure.hint}`);
  if (failure.code === "UNEXPECTED" && failure.cause instanceof Error && failure.cause.stack !== undefined) {
    lines.push(paint.faint(failure.cause.stack));
  }
  return lines.join("\n");
}

/** The single mistakes behind a CONFIG_INVALID, one line each, where the message does not spell them out already. */
function problemsOf(failure: StreamError): readonly string[] {
  const problems = failure.details["problems"];
  if (!Array.isArray(problems)) return [];
  return problems.map(String).filter((problem) => !failure.message.includes(problem));
}
