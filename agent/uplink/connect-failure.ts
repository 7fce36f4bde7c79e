/** Why the hub could not be reached, in an operator's words: from the codes of Node, OpenSSL and HTTP. */
import { StreamError } from "../../shared/errors.ts";
import type { ErrorCode } from "../../shared/errors.ts";
import { UPLINK_SUBPROTOCOL, uplinkSubprotocols } from "../../shared/uplink/frames.ts";
import type { ConnectStage } from "./hub-socket.ts";

const CLOCK_HINT = "Check the certificate, and this machine's clock: it may be wrong until the network has set it.";
const NAME_HINT = "`uplink.hub` must call the hub by a name or address that stands in its certificate.";
const AUTHORITY_HINT = "Name a PEM file with the authority's certificate in `uplink.caFile`; or is this not the hub?";

const TOO_OFTEN_HINT =
  "From this agent's address the hub has seen too many wrong tokens within a minute; whose are they?";
/** Of a foreign server's text, what is told. */
const SPOKEN_LENGTH_MAX = 64;

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

/** Answered by the hub's system, or on the way there: the hub's program knows nothing of such an attempt. */
const unheardFailures: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "EAI_AGAIN",
]);

const SCHEME_HINT = "Is it ws:// that the hub speaks at this port, or wss://? `uplink.hub` has to say it.";
const UNKNOWN_AUTHORITY = { text: "the hub's certificate is of an unknown authority", hint: AUTHORITY_HINT };

/** Of OpenSSL and Node, as far as they are about the certificate. */
const certificateFailures: Readonly<Record<string, { readonly text: string; readonly hint: string }>> = {
  CERT_HAS_EXPIRED: { text: "the hub's certificate has expired", hint: CLOCK_HINT },
  CERT_NOT_YET_VALID: { text: "the hub's certificate is not valid yet", hint: CLOCK_HINT },
  ERR_TLS_CERT_ALTNAME_INVALID: { text: "the hub's certificate is for another name", hint: NAME_HINT },
  DEPTH_ZERO_SELF_SIGNED_CERT: { text: "the hub's certificate is self-signed", hint: AUTHORITY_HINT },
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  // An authority of the same name with another key.
  CERT_SIGNATURE_FAILURE: UNKNOWN_AUTHORITY,
};

/** An error of the socket; `stage` is how far it had come. */
export function describeConnectError(error: Error, stage: ConnectStage): StreamError {
  if (error instanceof StreamError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const certificate = code === undefined ? undefined : certificateFailures[code];
  if (certificate !== undefined) {
    return failure("HUB_NOT_TRUSTED", `${certificate.text} (${code})`, { cause: error, hint: certificate.hint });
  }
  const network = code === undefined ? undefined : networkFailures[code];
  if (network !== undefined) {
    // Who speaks TLS hangs up on HTTP without a word, and the other way round.
    const hint = code === "ECONNRESET" && (stage === "tls" || stage === "upgrade") ? SCHEME_HINT : undefined;
    return unreachableHub(`${network} (${code})`, error, hint);
  }
  if (code === "EPROTO" || code?.startsWith("ERR_SSL_") === true) {
    return unreachableHub(`TLS failed (${code})`, error, SCHEME_HINT);
  }
  if (error.message.includes("subprotocol")) return wrongProtocol(undefined, error);
  return unreachableHub(error.message, error);
}

/** Whether the attempt that failed with what describeConnectError told has cost the hub nothing. */
export function isUnheard({ code, cause }: StreamError): boolean {
  return code === "HUB_UNREACHABLE" && unheardFailures.has((cause as NodeJS.ErrnoException | undefined)?.code);
}

/** The upgrade request was answered with something else than an upgrade; `spoken` is its Sec-WebSocket-Protocol. */
export function describeHttpAnswer(status: number, spoken?: string): StreamError {
  switch (status) {
    case 401:
    case 403:
      return new StreamError("UNAUTHORIZED", `the hub refuses the uplink token (HTTP ${status})`);
    case 429:
      return failure("OVERLOADED", "the hub asks to connect less often (HTTP 429)", { hint: TOO_OFTEN_HINT });
    case 503:
      return failure("OVERLOADED", "the hub takes no more agents, is stopping, or its disk takes no writes (HTTP 503)");
    case 426:
      return wrongProtocol(spoken);
    default:
      return unreachableHub(
        `something else than a hub answers at the address (HTTP ${status})`,
        undefined,
        "A captive portal, a proxy, or another service? Check the address.",
      );
  }
}

function wrongProtocol(spoken: string | undefined, cause?: Error): StreamError {
  // The hub speaks what it was asked for, and did not hear it.
  if (uplinkSubprotocols.some((each) => each === spoken)) {
    return failure("UPLINK_VERSION", "the hub did not hear which uplink protocol the agent speaks", {
      hint: "Does a proxy on the way remove the header Sec-WebSocket-Protocol?",
    });
  }
  const hubs = spoken === undefined ? "another uplink protocol" : JSON.stringify(spoken.slice(0, SPOKEN_LENGTH_MAX));
  return failure("UPLINK_VERSION", `the hub speaks ${hubs}, this agent ${UPLINK_SUBPROTOCOL}`, { cause });
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
