/**
 * Puts guard-state.ts between a connection and the broker's parser, which would buffer a packet of any size, also
 * before CONNECT. It looks at the chunks where the broker takes them (`read`), so nothing is copied and no stream is added.
 */
import type { Duplex } from "node:stream";
import { initialGuardState, inspect } from "./guard-state.ts";
import type { GuardLimits, GuardVerdict } from "./guard-state.ts";

/**
 * CONNACK of MQTT 5: no session present, reason 0x84 "unsupported protocol version", no properties. A client of version
 * 5 cannot read the one of 3.1.1.
 */
const CONNACK_UNSUPPORTED_VERSION = Buffer.of(0x20, 0x03, 0x00, 0x84, 0x00);

/** Guards `connection` until it ends. `refused` is called once, before the connection is closed. */
export function guardConnection(
  connection: Duplex,
  limits: GuardLimits,
  refused: (verdict: GuardVerdict) => void,
): void {
  const state = initialGuardState();
  const read = connection.read.bind(connection);
  let isRefused = false;
  connection.read = (size?: number): unknown => {
    const chunk: unknown = read(size);
    if (chunk === null) return null;
    if (isRefused) return null;
    const verdict = inspect(state, chunk as Buffer, limits);
    if (verdict === undefined) return chunk;
    isRefused = true;
    refused(verdict);
    if (verdict === "protocolVersion") connection.end(CONNACK_UNSUPPORTED_VERSION, () => connection.destroy());
    else connection.destroy();
    return null;
  };
}
