/** An operating error on its way from one thread to another: what a structured clone would leave of it. */
import { StreamError } from "./errors.ts";
import type { ErrorCode } from "./errors.ts";

export type ThreadFailure = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
};

export function toFailure({ code, reason, hint, details }: StreamError): ThreadFailure {
  return { code, message: reason, hint, details };
}

export function fromFailure({ code, message, hint, details }: ThreadFailure): StreamError {
  return new StreamError(code, message, { hint, details });
}
