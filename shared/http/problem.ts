/**
 * Errors as HTTP answers: RFC 9457 problem details, with the code of our error table as their identity.
 *
 *   HTTP/1.1 404   content-type: application/problem+json
 *   {"type":"urn:tributary:error:NOT_FOUND","title":"…","status":404,"detail":"…","code":"NOT_FOUND","hint":"…","retriable":false}
 */
import { StreamError, errorTable } from "../errors.ts";
import type { ErrorCode } from "../errors.ts";

export const PROBLEM_CONTENT_TYPE = "application/problem+json; charset=utf-8";

export type Problem = {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly hint: string;
  readonly retriable: boolean;
  /** Numbers and names that belong to the code. */
  readonly details?: Readonly<Record<string, unknown>>;
};

const NOT_FOUND = 404;
const CONFLICT = 409;
const FORBIDDEN = 403;
/** Codes whose status does not follow from `retriable`: 503 for those that may pass, 400 for what the caller did. */
const statuses: Partial<Record<ErrorCode, number>> = {
  NOT_FOUND,
  UNKNOWN_TOPIC_OR_PARTITION: NOT_FOUND,
  UNKNOWN_TOPIC_ID: NOT_FOUND,
  GROUP_ID_NOT_FOUND: NOT_FOUND,
  TOPIC_ALREADY_EXISTS: CONFLICT,
  NON_EMPTY_GROUP: CONFLICT,
  GROUP_SUBSCRIBED_TO_TOPIC: CONFLICT,
  REBALANCE_IN_PROGRESS: CONFLICT,
  ILLEGAL_GENERATION: CONFLICT,
  UNKNOWN_MEMBER_ID: CONFLICT,
  FENCED_INSTANCE_ID: CONFLICT,
  UNAUTHORIZED: 401,
  TOPIC_AUTHORIZATION_FAILED: FORBIDDEN,
  GROUP_AUTHORIZATION_FAILED: FORBIDDEN,
  CLUSTER_AUTHORIZATION_FAILED: FORBIDDEN,
  CORRUPT_RECORD: 400,
  MESSAGE_TOO_LARGE: 413,
  OFFSET_OUT_OF_RANGE: 416,
  OVERLOADED: 429,
  TIMEOUT: 504,
  LOG_IO: 500,
  LOG_NOT_DURABLE: 500,
  LOG_VERSION: 500,
  UNEXPECTED: 500,
};

/** A `status` below 400 or none: the code's own. */
export function toProblem(error: StreamError, status = 0): Problem {
  const { code, hint, retriable, details } = error;
  return {
    type: `urn:tributary:error:${code}`,
    title: errorTable[code].meaning,
    status: status >= 400 ? status : (statuses[code] ?? (retriable ? 503 : 400)),
    detail: error.message.startsWith(`${code}: `) ? error.message.slice(code.length + 2) : error.message,
    code,
    hint,
    retriable,
    ...(Object.keys(details).length === 0 ? {} : { details }),
  };
}

/**
 * What a handler threw, as the peer may see it. The framework's own complaints about a request keep their status; what
 * nobody expected is not told in detail.
 */
export function problemOf(error: unknown): Problem {
  if (error instanceof StreamError) return toProblem(error);
  const { statusCode, message } = error as { statusCode?: unknown; message?: unknown };
  if (typeof statusCode === "number" && statusCode >= 400 && statusCode < 500) {
    return toProblem(new StreamError(requestCode(statusCode), String(message)), statusCode);
  }
  return toProblem(new StreamError("UNEXPECTED", "the request failed; the program's log tells more"));
}

function requestCode(statusCode: number): ErrorCode {
  if (statusCode === NOT_FOUND) return "NOT_FOUND";
  return statusCode === 413 ? "MESSAGE_TOO_LARGE" : "INVALID_REQUEST";
}
