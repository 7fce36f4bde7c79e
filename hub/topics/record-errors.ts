/** Which records of a batch are to blame for its refusal: Produce 8 and later tell the client (KIP-467). */
import type { ErrorCode } from "../../shared/errors.ts";
import { StreamError } from "../../shared/errors.ts";

export type RecordError = { readonly batchIndex: number; readonly batchIndexErrorMessage: string };

/** More are not told: an answer must not become larger than its request. */
export const RECORD_ERRORS_MAX = 100;

export function recordsRefused(code: ErrorCode, message: string, recordErrors: readonly RecordError[]): StreamError {
  return new StreamError(code, message, { details: { recordErrors: recordErrors.slice(0, RECORD_ERRORS_MAX) } });
}

export function recordErrorsOf({ details }: StreamError): readonly RecordError[] {
  return (details["recordErrors"] as readonly RecordError[] | undefined) ?? [];
}
