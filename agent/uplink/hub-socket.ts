/**
 * The socket under the uplink's WebSocket, and how far it has come, so that an attempt that takes too long can say what
 * it was waiting for:
 *
 *   name ──lookup──▶ connection ──connect──▶ tls (wss only) ──secureConnect──▶ upgrade ──open──▶ welcome
 */
import { connect as connectTcp, isIP } from "node:net";
import type { LookupFunction, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { releaseMemory } from "../../shared/release-memory.ts";

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
    releaseWritten(socket);
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

type Written = (error?: Error | null) => void;

/**
 * For a mask, a WebSocket client has a copy of each message that nobody else sees (RFC 6455, section 5.3; ws makes it in
 * Sender.frame). On a slow link V8 would take it for long-lived, and find it only when tens of MiB lie about.
 */
function releaseWritten(socket: Socket): void {
  const write = socket.write.bind(socket) as (chunk: unknown, encoding: unknown, written: Written) => boolean;
  socket.write = (chunk: Uint8Array | string, ...rest: readonly unknown[]): boolean => {
    const written = rest.at(-1);
    return write(chunk, typeof rest[0] === "string" ? rest[0] : undefined, (error) => {
      if (typeof chunk !== "string") releaseMemory(chunk);
      if (typeof written === "function") (written as Written)(error);
    });
  };
}

/** Without the brackets of an IPv6 address. */
function hostOf({ hostname }: URL): string {
  return hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
}

function defaultPort(isSecure: boolean): number {
  return isSecure ? 443 : 80;
}
