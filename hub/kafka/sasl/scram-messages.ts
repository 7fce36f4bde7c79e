/**
 * The messages of SCRAM (RFC 5802, section 7), read and written; pure.
 *
 *   client first   n,,n=USER,r=CLIENTNONCE
 *   server first   r=CLIENTNONCE+SERVERNONCE,s=SALT,i=ITERATIONS
 *   client final   c=biws,r=CLIENTNONCE+SERVERNONCE,p=PROOF
 *   server final   v=SIGNATURE
 *
 * "n,," is the GS2 header: n or y, the client does not bind to the TLS channel; then an authorization identity, which
 * may be given if it is the user's own. What a later message repeats of an earlier one must be the same to the byte.
 */
import { StreamError } from "../../../shared/errors.ts";

export type ClientFirst = {
  readonly user: string;
  readonly nonce: string;
  /** "n,," */
  readonly gs2Header: string;
  /** The rest of the message: part of what is signed. */
  readonly bare: string;
};

export type ClientFinal = {
  /** As base64. */
  readonly channelBinding: string;
  readonly nonce: string;
  readonly proof: Buffer;
  /** What is signed. */
  readonly withoutProof: string;
};

/** What clients use is 16 to 50 characters long. */
const NONCE_LENGTH_MAX = 512;
/** Printable ASCII without the comma. */
const NONCE = /^[\x21-\x2b\x2d-\x7e]+$/;
/** An attribute that is not known is passed over if it is well-formed. */
const EXTENSION = /^[A-Za-z]+=[^\0,]+$/;

/** @throws StreamError SASL_AUTHENTICATION_FAILED. */
export function parseClientFirst(token: Buffer): ClientFirst {
  const text = decode(token);
  const match = /^(([^,]*),([^,]*),)(.*)$/s.exec(text);
  if (match === null) throw malformed("the first message has no GS2 header");
  const [, gs2Header = "", flag = "", authorization = "", bare = ""] = match;
  if (flag.startsWith("p=")) throw malformed("channel binding is not served");
  if (flag !== "n" && flag !== "y") throw malformed("the GS2 header is not n or y");
  const [name = "", nonceField = "", ...extensions] = bare.split(",");
  // "m" stands for an extension without which nothing else may be understood; none is known.
  if (name.startsWith("m=")) throw malformed("a mandatory extension is not served");
  const user = decodeName(valueOf(name, "n"));
  const nonce = valueOf(nonceField, "r");
  if (!NONCE.test(nonce) || nonce.length > NONCE_LENGTH_MAX) throw malformed("the nonce is not allowed");
  checkExtensions(extensions);
  if (authorization !== "" && decodeName(valueOf(authorization, "a")) !== user) {
    throw malformed("the authorization identity is not the user's own");
  }
  return { user, nonce, gs2Header, bare };
}

export function formatServerFirst(first: {
  readonly nonce: string;
  readonly salt: Buffer;
  readonly iterations: number;
}): string {
  return `r=${first.nonce},s=${first.salt.toString("base64")},i=${first.iterations}`;
}

/** @throws StreamError SASL_AUTHENTICATION_FAILED. */
export function parseClientFinal(token: Buffer): ClientFinal {
  const text = decode(token);
  const proofAt = text.lastIndexOf(",p=");
  if (proofAt < 0) throw malformed("the final message has no proof");
  const withoutProof = text.slice(0, proofAt);
  const [binding = "", nonceField = "", ...extensions] = withoutProof.split(",");
  const channelBinding = valueOf(binding, "c");
  const nonce = valueOf(nonceField, "r");
  checkExtensions(extensions);
  const proofText = text.slice(proofAt + ",p=".length);
  const proof = Buffer.from(proofText, "base64");
  // In its one right form: Node's decoder takes anything.
  if (proofText === "" || proof.toString("base64") !== proofText) throw malformed("the proof is not base64");
  return { channelBinding, nonce, proof, withoutProof };
}

/** The text of a token or of part of one. @throws StreamError SASL_AUTHENTICATION_FAILED unless it is UTF-8. */
export function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw malformed("the message is not UTF-8");
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function valueOf(attribute: string, letter: string): string {
  if (!attribute.startsWith(`${letter}=`)) throw malformed(`${letter}= is not where it belongs`);
  return attribute.slice(2);
}

/** "=2C" stands for a comma and "=3D" for an equals sign; no other "=" is allowed. */
function decodeName(encoded: string): string {
  if (encoded === "" || /=(?!2C|3D)/.test(encoded)) throw malformed("the user name is empty or wrongly encoded");
  return encoded.replaceAll("=2C", ",").replaceAll("=3D", "=");
}

function checkExtensions(extensions: readonly string[]): void {
  if (!extensions.every((each) => EXTENSION.test(each))) throw malformed("an extension is malformed");
}

function malformed(problem: string): StreamError {
  return new StreamError("SASL_AUTHENTICATION_FAILED", `malformed SCRAM message: ${problem}`);
}
