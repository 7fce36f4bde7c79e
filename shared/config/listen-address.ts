/**
 * Addresses to listen on, and the rule that everything is closed by default: a listener on any address but loopback
 * needs authentication, or the operator's word that the network itself is trusted (`insecure: true`).
 */
import { BlockList, isIP } from "node:net";
import { StreamError } from "../errors.ts";

/** Port 0 takes any free one. */
export type ListenAddress = { readonly host: string; readonly port: number };

const MAPPED_IPV4 = "::ffff:";
const PORT_MAX = 65_535;

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** "127.0.0.1:1883", "[::1]:1883", "localhost:0"; undefined when `text` is none. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const [, bracketed, plain, portText] = match;
  const port = Number(portText);
  if (port > PORT_MAX || (bracketed !== undefined && isIP(bracketed) !== 6)) return undefined;
  return { host: bracketed ?? plain ?? "", port };
}

export function formatListenAddress({ host, port }: ListenAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Only what the operating system cannot route elsewhere: a name such as `127.example.org` is not loopback. */
export function isLoopbackHost(host: string): boolean {
  if (host.toLowerCase() === "localhost") return true;
  // An IPv4 peer of a socket that takes both kinds.
  const address = host.toLowerCase().startsWith(MAPPED_IPV4) ? host.slice(MAPPED_IPV4.length) : host;
  const version = isIP(address);
  return version !== 0 && loopback.check(address, version === 6 ? "ipv6" : "ipv4");
}

export type Protection = {
  /** As the configuration knows it: "mqtt.listen". */
  readonly key: string;
  readonly address: ListenAddress;
  /** Everyone who connects has to prove who they are. */
  readonly isAuthenticated: boolean;
  /** The operator's word that the network is trusted. */
  readonly insecure: boolean;
};

/** Why the listener must not start; undefined when it may. */
export function protectionProblem({ address, isAuthenticated, insecure }: Omit<Protection, "key">): string | undefined {
  if (isLoopbackHost(address.host) || isAuthenticated || insecure) return undefined;
  return `${formatListenAddress(address)} can be reached from other machines and nobody has to authenticate there`;
}

/** @throws StreamError LISTENER_NOT_PROTECTED. */
export function requireProtection({ key, ...protection }: Protection): void {
  const problem = protectionProblem(protection);
  if (problem !== undefined) throw new StreamError("LISTENER_NOT_PROTECTED", `${key}: ${problem}`);
}
