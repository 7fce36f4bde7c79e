/**
 * The server's side of SCRAM (RFC 5802) as two functions of what came before and what the client says; chance and
 * credentials are handed in.
 *
 *   AuthMessage     = client first bare , server first , client final without proof
 *   ClientSignature = HMAC(StoredKey, AuthMessage)
 *   ClientKey       = ClientProof XOR ClientSignature         right when H(ClientKey) = StoredKey
 *   ServerSignature = HMAC(ServerKey, AuthMessage)            shows the client that the hub knew the user
 *
 * librdkafka before 2.6.1 puts its own nonce once more in front of the joined one. That is taken too: all of the hub's
 * fresh nonce is in it, so the message fits this exchange only, and the proof covers it.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { StreamError } from "../../../shared/errors.ts";
import { scramMechanisms } from "../../access/scram-credential.ts";
import type { ScramCredential } from "../../access/scram-credential.ts";
import { formatServerFirst, parseClientFinal, parseClientFirst } from "./scram-messages.ts";
import { wrongCredentials } from "./wrong-credentials.ts";

/** Between the first message and the final one. */
export type ScramExchange = {
  readonly user: string;
  readonly credential: ScramCredential;
  readonly gs2Header: string;
  readonly clientNonce: string;
  /** The client's and the hub's, joined. */
  readonly nonce: string;
  readonly clientFirstBare: string;
  readonly serverFirst: string;
};

export type ScramParts = {
  /** Of any name: an unknown user has one that no proof fits. */
  readonly credentialOf: (user: string) => ScramCredential;
  /** Fresh and random, printable ASCII without a comma. */
  readonly serverNonce: string;
};

/** @throws StreamError SASL_AUTHENTICATION_FAILED when the message is malformed; not when the user is unknown. */
export function beginScram(token: Buffer, { credentialOf, serverNonce }: ScramParts): ScramExchange {
  const first = parseClientFirst(token);
  const credential = credentialOf(first.user);
  const nonce = first.nonce + serverNonce;
  const serverFirst = formatServerFirst({ ...credential, nonce });
  return {
    user: first.user,
    credential,
    gs2Header: first.gs2Header,
    clientNonce: first.nonce,
    nonce,
    clientFirstBare: first.bare,
    serverFirst,
  };
}

/** The hub's last message. @throws StreamError SASL_AUTHENTICATION_FAILED. */
export function finishScram(exchange: ScramExchange, token: Buffer): string {
  const { credential, clientFirstBare, serverFirst } = exchange;
  const { digest, keyBytes } = scramMechanisms[credential.mechanism];
  const final = parseClientFinal(token);
  if (final.channelBinding !== Buffer.from(exchange.gs2Header).toString("base64")) {
    throw repeatedWrongly("the channel binding is not that of the first message");
  }
  // The whole of it: a message recorded from another exchange ends in another nonce (CVE-2024-56128).
  if (final.nonce !== exchange.nonce && final.nonce !== exchange.clientNonce + exchange.nonce) {
    throw repeatedWrongly("the nonce is not that of this exchange");
  }
  if (final.proof.length !== keyBytes) throw repeatedWrongly(`the proof has ${final.proof.length} bytes`);
  const authMessage = `${clientFirstBare},${serverFirst},${final.withoutProof}`;
  const clientSignature = createHmac(digest, credential.storedKey).update(authMessage).digest();
  const clientKey = clientSignature.map((byte, index) => byte ^ (final.proof[index] ?? 0));
  const storedKey = createHash(digest).update(clientKey).digest();
  if (!timingSafeEqual(storedKey, credential.storedKey)) throw wrongCredentials();
  return `v=${createHmac(digest, credential.serverKey).update(authMessage).digest("base64")}`;
}

function repeatedWrongly(problem: string): StreamError {
  return new StreamError("SASL_AUTHENTICATION_FAILED", `SCRAM exchange refused: ${problem}`);
}
