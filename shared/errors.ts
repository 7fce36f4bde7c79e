/**
 * Every operating error of both programs, in one table: the code is the identity, all else hangs on it.
 * The rows stand in errors/, by area; a new row there is the whole change.
 */
import { agentErrors } from "./errors/agent-errors.ts";
import { groupErrors } from "./errors/group-errors.ts";
import { logErrors } from "./errors/log-errors.ts";
import { programErrors } from "./errors/program-errors.ts";
import { requestErrors } from "./errors/request-errors.ts";
import { topicErrors } from "./errors/topic-errors.ts";

export const errorTable = {
  ...programErrors,
  ...logErrors,
  ...topicErrors,
  ...groupErrors,
  ...requestErrors,
  ...agentErrors,
};

export type ErrorCode = keyof typeof errorTable;

export type StreamErrorOptions = { cause?: unknown; details?: Readonly<Record<string, unknown>>; hint?: string };

/** An operating error. Compare `code`, never the text. `hint` tells the operator what to do. */
export class StreamError extends Error {
  override readonly name = "StreamError";
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: StreamErrorOptions = {}) {
    super(`${code}: ${message}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.hint = options.hint ?? errorTable[code].hint;
  }

  /** The message without the code, for protocols that carry the code beside it. */
  get reason(): string {
    return this.message.slice(this.code.length + 2);
  }

  get retriable(): boolean {
    return errorTable[this.code].retriable;
  }

  /** Kafka's error code for answers over the Kafka protocol. */
  get wire(): number {
    return errorTable[this.code].wire;
  }
}

/** Anything thrown, as a StreamError: foreign errors become UNEXPECTED and keep their cause. */
export function toStreamError(error: unknown): StreamError {
  if (error instanceof StreamError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new StreamError("UNEXPECTED", message, { cause: error });
}
