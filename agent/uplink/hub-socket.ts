/**
 * The socket under the uplink's WebSocket, and how far it has come, so that an attempt that takes too long can say what
 * it was waiting for:
 *
 *   name ──lookup──▶ connection ──connect──▶ tls (wss only) ──secureConnect──▶ upgrade ──open──▶ welcome
 */
import { connect as connectTcp, isIP } from "node:net";
import type { LookupFunction, Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export type ConnectStage = "name" | "connection" | "tls" | "upgrade" | "welcome";

export type HubSocketOptions = {
  readonly url: URL;
  readonly connectTimeoutMs: number;
  /** PEM; the system's without it. */
  readonly authorities: readonly string[] | undefined;
  /** The system's without it. */
  readonly lookup: LookupFunction | undefined;
};

/**
 * A name may have several addresses, which are tried one after the other. Node's 250 ms for each but the last would never
 * let a link through whose round trip takes two seconds; an address that is dead must leave time for the others, too.
 */
const ADDRESS_MS_MAX = 3_000;
const ADDRESSES_TRIED_IN_TIME = 3;

const stageTexts: Readonly<Record<ConnectStage, string>> = {
  name: "the name server did not tell the hub's address",
  connection: "the hub's address did not answer",
  tls: "the TLS handshake did not end",
  upgrade: "the hub did not answer the request for an uplink",
  welcome: "no welcome from the hub",
};

/** What did not come in time, in words. */
export function describeStage(stage: ConnectStage): string {
  return stageTexts[stage];
}

export class HubSocket {
  readonly #options: HubSocketOptions;
  stage: ConnectStage;

  constructor(options: HubSocketOptions) {
    this.#options = options;
    this.stage = isIP(hostOf(options.url)) === 0 ? "name" : "connection";
  }

  /** Once. Errors and the end show at the socket. */
  connect(): Socket {
    const { url, connectTimeoutMs, authorities, lookup } = this.#options;
    const isSecure = url.protocol === "wss:";
    const host = hostOf(url);
    const port = url.port === "" ? defaultPort(isSecure) : Number(url.port);
    const target = {
      host,
      port,
      autoSelectFamilyAttemptTimeout: Math.min(ADDRESS_MS_MAX, Math.ceil(connectTimeoutMs / ADDRESSES_TRIED_IN_TIME)),
      ...(lookup === undefined ? {} : { lookup }),
    };
    const socket = isSecure
      ? connectTls({
          ...target,
          // An address is no name that a server could be asked for (RFC 6066, section 3); it is checked all the same.
          servername: isIP(host) === 0 ? host : "",
          ...(authorities === undefined ? {} : { ca: [...authorities] }),
        })
      : connectTcp(target);
    socket.once("lookup", () => {
      this.stage = "connection";
    });
    socket.once("connect", () => {
      this.stage = isSecure ? "tls" : "upgrade";
    });
    socket.once("secureConnect", () => {
      this.stage = "upgrade";
    });
    return socket;
  }
}

/** Without the brackets of an IPv6 address. */
function hostOf({ hostname }: URL): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

function defaultPort(isSecure: boolean): number {
  return isSecure ? 443 : 80;
}
