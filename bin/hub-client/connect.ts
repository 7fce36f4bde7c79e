/**
 * The hub as its Kafka clients see it: the commands are clients like any other and use nothing but the Kafka port.
 * What the client library throws becomes a StreamError with the hub's own code, or HUB_UNREACHABLE.
 */
import { connect as connectSocket } from "node:net";
import { Admin, findErrorBy } from "@platformatic/kafka";
import { StreamError, errorTable, toStreamError } from "../../shared/errors.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { UsageError } from "../failure.ts";
import { formatHubAddress } from "./address.ts";
import type { HubAddress } from "./address.ts";

const CONNECT_TIMEOUT_MS = 3000;
/** Longer than a hub needs for anything but a long poll, whose wait comes on top. */
const REQUEST_TIMEOUT_MS = 15_000;
const RETRY_COUNT_MAX = 2;
const RETRY_DELAY_MS = 250;

/** What every client of the library is made with. */
export function clientOptions(address: HubAddress) {
  return {
    clientId: "tributary-cli",
    bootstrapBrokers: [address],
    connectTimeout: CONNECT_TIMEOUT_MS,
    timeout: REQUEST_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retries: RETRY_COUNT_MAX,
    retryDelay: RETRY_DELAY_MS,
    autocreateTopics: false,
  };
}

/** Runs `work` with an admin client that is closed whatever happens. @throws StreamError. */
export async function withAdmin<Result>(address: HubAddress, work: (admin: Admin) => Promise<Result>): Promise<Result> {
  await probeHub(address);
  const admin = new Admin(clientOptions(address));
  try {
    return await work(admin);
  } catch (error) {
    throw toHubFailure(error, address);
  } finally {
    await admin.close();
  }
}

/**
 * Fails at once, and with a message about the cause, where the library would try again and then tell of a failed
 * metadata request.
 *
 * @throws StreamError HUB_UNREACHABLE.
 */
export function probeHub(address: HubAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ ...address, timeout: CONNECT_TIMEOUT_MS });
    const fail = (error: Error): void => {
      socket.destroy();
      reject(unreachable(address, error));
    };
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
    socket.once("timeout", () => fail(Object.assign(new Error("timed out"), { code: "ETIMEDOUT" })));
    socket.once("error", fail);
  });
}

function unreachable(address: HubAddress, cause: unknown): StreamError {
  const at = formatHubAddress(address);
  const code = findCause(cause, "code", /^E[A-Z]+$/);
  const start = "Start one with `tributary hub` or `tributary demo`, or give its address with --kafka HOST:PORT.";
  switch (code) {
    case "ECONNREFUSED":
      return new StreamError("HUB_UNREACHABLE", `nothing listens on ${at}`, { cause, hint: start });
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new StreamError("HUB_UNREACHABLE", `the host name of ${at} cannot be resolved`, { cause, hint: start });
    default:
      return new StreamError("HUB_UNREACHABLE", `no Kafka server answers on ${at} (${code ?? "connection lost"})`, {
        cause,
        hint: "Check the address, the network and that it is the hub's Kafka port; 7070 is HTTP, 9092 Kafka.",
      });
  }
}

/** The library nests errors; the first value of `property` that fits, from the outside in. */
function findCause(error: unknown, property: string, pattern: RegExp, depth = 0): string | undefined {
  // A chain of causes is short; the bound guards against one that bites its own tail.
  if (!(error instanceof Error) || depth > 8) return undefined;
  const value: unknown = Reflect.get(error, property);
  if (typeof value === "string" && pattern.test(value)) return value;
  const inner = error instanceof AggregateError ? error.errors : [];
  for (const next of [...inner, error.cause]) {
    const found = findCause(next, property, pattern, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What a hub answers that has just started. */
const startingCodes: ReadonlySet<string> = new Set([
  "COORDINATOR_LOAD_IN_PROGRESS",
  "COORDINATOR_NOT_AVAILABLE",
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

export function toHubFailure(error: unknown, address: HubAddress): Error {
  if (error instanceof StreamError || error instanceof UsageError) return error;
  const kafkaCode = kafkaCodeOf(error);
  if (kafkaCode !== undefined) return kafkaFailure(kafkaCode, error);
  if (isConnectionFailure(error)) return unreachable(address, error);
  return toStreamError(error);
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
