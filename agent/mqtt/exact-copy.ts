/**
 * The payload in memory of its own. A payload from a socket is a view into the socket's chunk: keeping it would keep
 * all of the chunk, and sending it to the log's worker would copy all of it.
 */
export function exactCopy<Payload extends Uint8Array | string>(payload: Payload): Buffer | (Payload & string) {
  if (typeof payload === "string") return payload;
  const copy = Buffer.allocUnsafeSlow(payload.length);
  copy.set(payload);
  return copy;
}

/** What structured clone makes of a Buffer is a Uint8Array. */
export function fromClone(payload: Uint8Array | string): Buffer | string {
  if (typeof payload === "string") return payload;
  return Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}
