/**
 * Finds the packet boundaries in a client's bytes and judges each packet by its fixed header, before any parser buffers
 * it. Pure, and without a copy: packet bodies are skipped over.
 *
 *   byte 1   type : 4, flags : 4
 *   2..5     remaining length, 7 bits a byte, the lowest first, bit 8 set where another byte follows [MQTT-2.2.3]
 *   …        as many bytes
 *
 * Of the first packet, which must be CONNECT [MQTT-3.1.0-1], it also reads the start of the body:
 *
 *   0 4 M Q T T 5        MQTT 5, which gets its answer in MQTT 5's form; everything else is for the parser to judge
 */
export type GuardLimits = { readonly connectBytesMax: number; readonly packetBytesMax: number };

export type GuardVerdict = "firstPacket" | "remainingLength" | "connectBytesMax" | "packetBytesMax" | "protocolVersion";

export type GuardState = {
  phase: "type" | "length" | "body";
  /** The first packet has not ended. */
  isFirst: boolean;
  /** Size of the fixed header so far. */
  headerBytes: number;
  /** Remaining length while it is read, then the bytes of the body still to come. */
  bodyBytesLeft: number;
  /** How much of PROTOCOL_MQTT_5 the body of CONNECT has matched; -1 after a mismatch. */
  matched: number;
};

const TYPE_CONNECT = 1;
const LENGTH_BYTES_MAX = 4;
const PROTOCOL_MQTT_5 = Uint8Array.of(0, 4, 0x4d, 0x51, 0x54, 0x54, 5);

export function initialGuardState(): GuardState {
  return { phase: "type", isFirst: true, headerBytes: 0, bodyBytesLeft: 0, matched: 0 };
}

/** Moves `state` over `chunk`. Returns why the connection must end, if it must; the state is of no use after that. */
export function inspect(state: GuardState, chunk: Uint8Array, limits: GuardLimits): GuardVerdict | undefined {
  const end = chunk.length;
  let at = 0;
  while (at < end) {
    if (state.phase === "body") {
      if (state.isFirst && state.matched >= 0 && matchProtocol(state, chunk, at)) return "protocolVersion";
      const skipped = Math.min(state.bodyBytesLeft, end - at);
      at += skipped;
      state.bodyBytesLeft -= skipped;
      if (state.bodyBytesLeft === 0) endPacket(state);
      continue;
    }
    const byte = chunk[at++]!;
    if (state.phase === "type") {
      if (state.isFirst && byte >> 4 !== TYPE_CONNECT) return "firstPacket";
      state.phase = "length";
      state.headerBytes = 1;
      state.bodyBytesLeft = 0;
      continue;
    }
    state.bodyBytesLeft += (byte & 0x7f) * 2 ** (7 * (state.headerBytes - 1));
    state.headerBytes++;
    if (state.headerBytes + state.bodyBytesLeft > bytesMax(state, limits)) {
      return state.isFirst ? "connectBytesMax" : "packetBytesMax";
    }
    if ((byte & 0x80) === 0) {
      state.phase = "body";
      if (state.bodyBytesLeft === 0) endPacket(state);
    } else if (state.headerBytes > LENGTH_BYTES_MAX) {
      return "remainingLength";
    }
  }
  return undefined;
}

function bytesMax(state: GuardState, limits: GuardLimits): number {
  return state.isFirst ? limits.connectBytesMax : limits.packetBytesMax;
}

function endPacket(state: GuardState): void {
  state.phase = "type";
  state.isFirst = false;
}

/** True when the body's start, as far as this chunk goes, has become that of MQTT 5. */
function matchProtocol(state: GuardState, chunk: Uint8Array, from: number): boolean {
  const end = Math.min(chunk.length, from + state.bodyBytesLeft);
  for (let at = from; at < end && state.matched >= 0; at++) {
    if (chunk[at] !== PROTOCOL_MQTT_5[state.matched]) state.matched = -1;
    else if (++state.matched === PROTOCOL_MQTT_5.length) return true;
  }
  return false;
}
