/**
 * What the kernel has sent and received on the connections to a port, by ss(8): counting costs the connection nothing,
 * which a proxy in between would. TCP's own headers are not in it.
 */
import { execFileSync } from "node:child_process";

export type SocketBytes = { readonly up: number; readonly down: number };

/** Of the side that connected. */
export function socketBytesTo(port: number): SocketBytes {
  return parseSocketBytes(execFileSync("ss", ["-tinH", `dport = :${port}`], { encoding: "utf8" }));
}

export function parseSocketBytes(text: string): SocketBytes {
  const sum = (name: string): number =>
    [...text.matchAll(new RegExp(`\\b${name}:(\\d+)`, "g"))].reduce((total, [, digits]) => total + Number(digits), 0);
  return { up: sum("bytes_acked"), down: sum("bytes_received") };
}
