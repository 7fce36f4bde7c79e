/**
 * The one message of SASL PLAIN (RFC 4616); pure.
 *
 *   [authorization identity] NUL user NUL password
 */
import { StreamError } from "../../../shared/errors.ts";
import { decode } from "./scram-messages.ts";

export type PlainMessage = { readonly user: string; readonly password: string };

/** @throws StreamError SASL_AUTHENTICATION_FAILED; no part of the message is in its text. */
export function parsePlain(token: Buffer): PlainMessage {
  const [authorization, user = "", password = "", ...more] = decode(token).split("\0");
  if (user === "" || password === "" || more.length > 0) {
    throw new StreamError("SASL_AUTHENTICATION_FAILED", "malformed PLAIN message: user and password are expected");
  }
  if (authorization !== "" && authorization !== user) {
    throw new StreamError("SASL_AUTHENTICATION_FAILED", "the authorization identity is not the user's own");
  }
  return { user, password };
}
