/**
 * The way of clients from before Kafka 1.0: after SaslHandshake version 0 a token is a frame of its own, without a
 * request around it, and so is the reply. There is no way to tell of a failure but to close the connection.
 */
import type { Dispatched } from "../dispatch.ts";
import type { Frame } from "../wire-writer.ts";
import type { SaslSession } from "./sasl-session.ts";

const FRAME_LENGTH_BYTES = 4;

export function dispatchRawToken(token: Buffer, session: SaslSession): Dispatched {
  const response = session
    .authenticate(token)
    .then((answer) => (answer.error === null ? framed(answer.reply) : undefined));
  return { api: "SaslToken", response };
}

function framed(reply: Buffer): Frame {
  const length = Buffer.alloc(FRAME_LENGTH_BYTES);
  length.writeInt32BE(reply.length);
  return { chunks: [length, reply], bytes: length.length + reply.length };
}
