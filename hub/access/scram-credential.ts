/**
 * What is kept of a password (RFC 5802): enough to check that somebody knows it, not enough to log in elsewhere.
 *
 *   SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>         base64, as PostgreSQL writes it
 *
 *   SaltedPassword = PBKDF2(password, salt, iterations)
 *   StoredKey      = H(HMAC(SaltedPassword, "Client Key"))    checks the client
 *   ServerKey      = HMAC(SaltedPassword, "Server Key")       shows the client that this is the hub
 */
import { createHash, createHmac, pbkdf2 } from "node:crypto";
import { promisify } from "node:util";
import { StreamError } from "../../shared/errors.ts";

export const scramMechanisms = {
  "SCRAM-SHA-256": { digest: "sha256", keyBytes: 32 },
  "SCRAM-SHA-512": { digest: "sha512", keyBytes: 64 },
} as const;

export type ScramMechanism = keyof typeof scramMechanisms;
export const scramMechanismNames = Object.keys(scramMechanisms) as readonly ScramMechanism[];

export type ScramCredential = {
  readonly mechanism: ScramMechanism;
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
};

/** RFC 7677 and clients refuse fewer. */
export const ITERATIONS_MIN = 4096;
/** Each PLAIN login costs the hub as many hashes: more would let logins occupy its threads. */
export const ITERATIONS_MAX = 1_000_000;
const SALT_BYTES_MIN = 8;
const SALT_BYTES_MAX = 256;

/** @throws StreamError CONFIG_INVALID; its message never contains a part of the credential. */
export function parseCredential(text: string): ScramCredential {
  const match = /^([A-Z0-9-]+)\$(\d{1,9}):([^$:]*)\$([^$:]*):([^$:]*)$/.exec(text);
  if (match === null) {
    throw invalid("it has to be MECHANISM$ITERATIONS:SALT$STOREDKEY:SERVERKEY, as `tributary users hash` prints it");
  }
  const [, mechanism = "", iterationsText, saltText, storedText, serverText] = match;
  if (!isScramMechanism(mechanism)) throw invalid(`its mechanism is not one of ${scramMechanismNames.join(", ")}`);
  const iterations = Number(iterationsText);
  if (iterations < ITERATIONS_MIN || iterations > ITERATIONS_MAX) {
    throw invalid(`it has ${iterations} iterations; ${ITERATIONS_MIN} to ${ITERATIONS_MAX} are allowed`);
  }
  const { keyBytes } = scramMechanisms[mechanism];
  const salt = fromBase64(saltText);
  if (salt === undefined || salt.length < SALT_BYTES_MIN || salt.length > SALT_BYTES_MAX) {
    throw invalid(`its salt is not base64 of ${SALT_BYTES_MIN} to ${SALT_BYTES_MAX} bytes`);
  }
  const [storedKey, serverKey] = [storedText, serverText].map(fromBase64);
  if (storedKey?.length !== keyBytes || serverKey?.length !== keyBytes) {
    throw invalid(`its keys are not base64 of ${keyBytes} bytes each, which ${mechanism} has`);
  }
  return { mechanism, iterations, salt, storedKey, serverKey };
}

export function formatCredential({ mechanism, iterations, salt, storedKey, serverKey }: ScramCredential): string {
  const [saltText, storedText, serverText] = [salt, storedKey, serverKey].map((bytes) => bytes.toString("base64"));
  return `${mechanism}$${iterations}:${saltText}$${storedText}:${serverText}`;
}

export type PasswordToHash = Pick<ScramCredential, "mechanism" | "salt" | "iterations"> & { readonly password: string };

const derive = promisify(pbkdf2);

/** The hashing runs in a thread of Node's pool. */
export async function deriveCredential({
  mechanism,
  password,
  salt,
  iterations,
}: PasswordToHash): Promise<ScramCredential> {
  const { digest, keyBytes } = scramMechanisms[mechanism];
  const saltedPassword = await derive(password, salt, iterations, keyBytes, digest);
  const clientKey = createHmac(digest, saltedPassword).update("Client Key").digest();
  return {
    mechanism,
    iterations,
    salt,
    storedKey: createHash(digest).update(clientKey).digest(),
    serverKey: createHmac(digest, saltedPassword).update("Server Key").digest(),
  };
}

function isScramMechanism(text: string): text is ScramMechanism {
  return Object.hasOwn(scramMechanisms, text);
}

/** Undefined unless it is base64 in its one right form: Node's own decoder takes anything. */
export function fromBase64(text: string | undefined): Buffer | undefined {
  if (text === undefined || text === "") return undefined;
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

function invalid(problem: string): StreamError {
  return new StreamError("CONFIG_INVALID", `the credential cannot be used: ${problem}`);
}
