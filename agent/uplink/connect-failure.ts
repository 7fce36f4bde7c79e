/** Why the hub could not be reached, in an operator's words: from the codes of Node, OpenSSL and HTTP. */
import { StreamError } from "../../shared/errors.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { UPLINK_SUBPROTOCOL } from "../../shared/uplink/frames.ts";

const CLOCK_HINT = "Check the certificate, and this machine's clock: it may be wrong until the network has set it.";

const networkFailures: Readonly<Record<string, string>> = {
  ENOTFOUND: "the hub's name is not known",
  EAI_AGAIN: "the name server does not answer",
  ECONNREFUSED: "nothing listens at the hub's address",
  ECONNRESET: "the connection was reset",
  EHOSTUNREACH: "there is no route to the hub",
  ENETUNREACH: "there is no network",
  ENETDOWN: "the network is down",
  ETIMEDOUT: "the hub does not answer",
  EPIPE: "the connection was closed",
};

const certificateFailures: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "the hub's certificate has expired",
  CERT_NOT_YET_VALID: "the hub's certificate is not valid yet",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the hub's certificate is self-signed",
  SELF_SIGNED_CERT_IN_CHAIN: "the hub's certificate chain is self-signed",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the hub's certificate is of an unknown authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the hub's certificate is of an unknown authority",
  ERR_TLS_CERT_ALTNAME_INVALID: "the hub's certificate is for another name",
};

/** An error of the socket, before or after the upgrade. */
export function describeConnectError(error: Error): StreamError {
  if (error instanceof StreamError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const certificate = code === undefined ? undefined : certificateFailures[code];
  if (certificate !== undefined) return unreachableHub(certificate, error, CLOCK_HINT);
  const network = code === undefined ? undefined : networkFailures[code];
  if (network !== undefined) return unreachableHub(`${network} (${code})`, error);
  if (code === "EPROTO" || code?.startsWith("ERR_SSL_") === true) {
    return unreachableHub(`TLS failed (${code})`, error, "Is it ws:// that the hub speaks, or wss://?");
  }
  if (error.message.includes("subprotocol")) return wrongProtocol(error);
  return unreachableHub(error.message, error);
}

/** The upgrade request was answered with something else than an upgrade. */
export function describeHttpAnswer(status: number): StreamError {
  switch (status) {
    case 401:
    case 403:
      return new StreamError("UNAUTHORIZED", `the hub refuses the uplink token (HTTP ${status})`);
    case 429:
      return failure("OVERLOADED", "the hub asks to connect less often (HTTP 429)");
    case 503:
      return failure("OVERLOADED", "the hub takes no more agents, or is stopping (HTTP 503)");
    case 426:
      return wrongProtocol();
    default:
      return unreachableHub(
        `something else than a hub answers at the address (HTTP ${status})`,
        undefined,
        "A captive portal, a proxy, or another service? Check the address.",
      );
  }
}

function wrongProtocol(cause?: Error): StreamError {
  return failure("PROTOCOL_VIOLATION", `the hub does not speak ${UPLINK_SUBPROTOCOL}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "Update the older of the two, hub or agent.",
  });
}

function unreachableHub(reason: string, cause?: Error, hint?: string): StreamError {
  return failure("HUB_UNREACHABLE", reason, {
    ...(cause === undefined ? {} : { cause }),
    ...(hint === undefined ? {} : { hint }),
  });
}

function failure(code: ErrorCode, reason: string, options: { cause?: unknown; hint?: string } = {}): StreamError {
  return new StreamError(code, reason, options);
}
