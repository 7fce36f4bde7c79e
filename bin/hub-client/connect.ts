/**
 * The hub as its Kafka clients see it: the commands are clients like any other and use nothing but the Kafka port.
 * What the client library throws becomes a StreamError with the hub's own code, or HUB_UNREACHABLE.
 */
import { Admin, findErrorBy } from "@platformatic/kafka";
import { StreamError, errorTable, toStreamError } from "../../shared/errors.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { UsageError } from "../failure.ts";
import type { HubAccess } from "./access.ts";
import { CONNECT_TIMEOUT_MS, findCause, probeHub, unreachable } from "./probe.ts";

/** Longer than a hub needs for anything but a long poll, whose wait comes on top. */
const REQUEST_TIMEOUT_MS = 15_000;
const RETRY_COUNT_MAX = 2;
const RETRY_DELAY_MS = 250;

/** The strongest that every hub with users offers. */
const MECHANISM = "SCRAM-SHA-512";

/** What every client of the library is made with. */
export function clientOptions({ host, port, login, tls }: HubAccess) {
  return {
    clientId: "tributary-cli",
    bootstrapBrokers: [{ host, port }],
    connectTimeout: CONNECT_TIMEOUT_MS,
    timeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retries: RETRY_COUNT_MAX,
    retryDelay: RETRY_DELAY_MS,
    autocreateTopics: false,
    ...(login === undefined
      ? {}
      : { sasl: { mechanism: MECHANISM, username: login.user, password: login.password } as const }),
    ...(tls === undefined ? {} : { tls }),
  };
}

/** Runs `work` with an admin client that is closed whatever happens. @throws StreamError. */
export async function withAdmin<Result>(access: HubAccess, work: (admin: Admin) => Promise<Result>): Promise<Result> {
  await probeHub(access);
  const admin = new Admin(clientOptions(access));
  try {
    return await work(admin);
  } catch (error) {
    throw toHubFailure(error, access);
  } finally {
    await admin.close();
  }
}

/** What a hub answers that has just started. */
const startingCodes: ReadonlySet<string> = new Set([
  "COORDINATOR_LOAD_IN_PROGRESS",
  "COORDINATOR_NOT_AVAILABLE",
  // Those of the hub before it.
  "FETCH_SESSION_ID_NOT_FOUND",
  "INVALID_FETCH_SESSION_EPOCH",
  "LEADER_NOT_AVAILABLE",
  "NOT_COORDINATOR",
]);

/** Whether the hub may answer again later without any change: its connection broke or it is starting. */
export function isConnectionFailure(error: unknown): boolean {
  if (error instanceof StreamError) return error.code === "HUB_UNREACHABLE" || startingCodes.has(error.code);
  const kafkaCode = kafkaCodeOf(error);
  if (kafkaCode !== undefined) return startingCodes.has(kafkaCode);
  return error instanceof Error && findErrorBy(error, "code", "PLT_KFK_NETWORK") !== null;
}

/** The hub's own error code inside whatever the library made of it. */
export function kafkaCodeOf(error: unknown): string | undefined {
  return findCause(error, "apiId", /^[A-Z_]+$/);
}

export function toHubFailure(error: unknown, access: HubAccess): Error {
  if (error instanceof StreamError || error instanceof UsageError) return error;
  const kafkaCode = kafkaCodeOf(error);
  const loginFailure = kafkaCode === undefined ? undefined : loginFailureOf(kafkaCode, access, error);
  if (loginFailure !== undefined) return loginFailure;
  if (kafkaCode !== undefined) return kafkaFailure(kafkaCode, error);
  if (isConnectionFailure(error)) return unreachable(access, error);
  return toStreamError(error);
}

/** What the hub answers to a login, in the words of the command line. */
function loginFailureOf(kafkaCode: string, { login }: HubAccess, cause: unknown): StreamError | undefined {
  const user = login?.user ?? "";
  switch (kafkaCode) {
    case "SASL_AUTHENTICATION_FAILED":
      return new StreamError(kafkaCode, `the hub refused the password of '${user}', or does not know this user`, {
        cause,
        hint: `\`tributary users hash ${user}\` makes the credentials for \`users\` in the hub's configuration.`,
      });
    case "ILLEGAL_SASL_STATE":
      return new StreamError(kafkaCode, `the hub has no users; '${user}' cannot log in`, {
        cause,
        hint: "Leave --user out, or give the hub `users` in its configuration.",
      });
    case "UNSUPPORTED_SASL_MECHANISM":
      return new StreamError(kafkaCode, `the Kafka server does not offer ${MECHANISM}`, { cause });
    default:
      return undefined;
  }
}

function kafkaFailure(kafkaCode: string, cause: unknown): StreamError {
  const answer = findCause(cause, "serverErrorMessage", /\S/);
  const [, ownCode = "", text = answer] = /^([A-Z_]+): ([^]*)$/.exec(answer ?? "") ?? [];
  // The hub begins its messages with its own code, which says more than Kafka's.
  const code = [ownCode, kafkaCode, kafkaCode.replace(/_EXCEPTION$/, "")].find(isErrorCode);
  if (code !== undefined) return new StreamError(code, text ?? errorTable[code].meaning, { cause });
  return new StreamError("UNEXPECTED", `the hub answers ${kafkaCode}${answer === undefined ? "" : `: ${answer}`}`, {
    cause,
    hint: "Kafka's documentation explains the code.",
  });
}

function isErrorCode(code: string): code is ErrorCode {
  return code in errorTable;
}
