/**
 * Asks whether a hub is there, and whether it lets us in, before the client library tries: that would try again for a
 * while and then tell of a failed metadata request, whatever the cause.
 */
import { connect as connectSocket } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { StreamError } from "../../shared/errors.ts";
import type { HubAccess } from "./access.ts";
import { PASSWORD_VARIABLE, USER_VARIABLE } from "./access.ts";
import { formatHubAddress } from "./address.ts";
import type { HubAddress } from "./address.ts";

export const CONNECT_TIMEOUT_MS = 3000;

/** Length, api key, version, correlation id, an empty client id, and the mechanism. */
const SASL_HANDSHAKE = Buffer.from(
  `0000001900110001000000010000000d${Buffer.from("SCRAM-SHA-512").toString("hex")}`,
  "hex",
);
/** Length, correlation id, error code. */
const ANSWER_ERROR_AT = 8;
const ANSWER_BYTES_MIN = 10;
const NO_ERROR = 0;

/** @throws StreamError HUB_UNREACHABLE; SASL_AUTHENTICATION_FAILED when the hub wants a user and none is given. */
export function probeHub(access: HubAccess): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = open(access);
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error instanceof StreamError ? error : unreachable(access, error));
    };
    const done = (): void => {
      socket.destroy();
      resolve();
    };
    let answer = Buffer.alloc(0);
    socket.once(access.tls === undefined ? "connect" : "secureConnect", () => {
      // With a login the library finds out by itself whether it is good.
      if (access.login !== undefined) done();
      else socket.write(SASL_HANDSHAKE);
    });
    socket.on("data", (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length < ANSWER_BYTES_MIN) return;
      if (answer.readInt16BE(ANSWER_ERROR_AT) === NO_ERROR) fail(loginNeeded(access));
      else done();
    });
    socket.setTimeout(CONNECT_TIMEOUT_MS);
    socket.once("timeout", () => fail(Object.assign(new Error("timed out"), { code: "ETIMEDOUT" })));
    socket.once("error", fail);
    socket.once("close", () => fail(new Error("closed")));
  });
}

function open({ host, port, tls }: HubAccess): Socket {
  return tls === undefined ? connectSocket({ host, port }) : connectTls({ host, port, ...tls });
}

function loginNeeded(access: HubAddress): StreamError {
  const message = `the hub on ${formatHubAddress(access)} has users, and none was given`;
  const hint = `Log in with --user NAME --password-file FILE, or with ${USER_VARIABLE} and ${PASSWORD_VARIABLE}.`;
  return new StreamError("SASL_AUTHENTICATION_FAILED", message, { hint });
}

export function unreachable(access: HubAccess, cause: unknown): StreamError {
  const at = formatHubAddress(access);
  const code = findCause(cause, "code", /^(?!PLT_|UND_)[A-Z][A-Z_0-9]+$/);
  const failed = (message: string, hint: string): StreamError =>
    new StreamError("HUB_UNREACHABLE", message, { cause, hint });
  const start = "Start one with `tributary hub` or `tributary demo`, or give its address with --kafka HOST:PORT.";
  if (code === "ECONNREFUSED") return failed(`nothing listens on ${at}`, start);
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return failed(`the host name of ${at} cannot be resolved`, start);
  if (code?.startsWith("ERR_SSL_") === true) {
    return failed(`no TLS is spoken on ${at} (${code})`, "Leave --tls and --ca-file out if the hub has no kafka.tls.");
  }
  if (code !== undefined && CERTIFICATE_CODE.test(code)) {
    const hint =
      "--ca-file FILE names the PEM file of who issued it, or of the certificate itself if it is self-signed; " +
      "the certificate must name the host that --kafka has.";
    return failed(`the certificate of ${at} is not trusted (${code})`, hint);
  }
  const users = access.login === undefined ? " If it has users, give --user." : "";
  const encryption =
    access.tls === undefined
      ? " If it speaks TLS, give --tls or --ca-file."
      : " If it does not speak TLS, leave --tls and --ca-file out.";
  return failed(
    `no Kafka server answers on ${at} (${code ?? "connection lost"})`,
    `Check the address, the network and that it is the hub's Kafka port; 7070 is HTTP, 9092 Kafka.${encryption}${users}`,
  );
}

/** Node's codes of certificates that are not taken. */
const CERTIFICATE_CODE = /CERT|^UNABLE_TO_|^ERR_TLS_|^HOSTNAME_MISMATCH/;

/** Libraries nest errors; the first value of `property` that fits, from the outside in. */
export function findCause(error: unknown, property: string, pattern: RegExp, depth = 0): string | undefined {
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
