/**
 * The login of one connection: what may come when.
 *
 *            handshake                token, the last one right
 *   start ─────────────▶ logging-in ────────────────────────────▶ open ──┐ handshake: the same user once more (KIP-368)
 *                          │  ▲ challenge                          ▲      │
 *                          │  └──┘                                 └──────┘
 *                          ▼ anything else, at any time
 *                        over: the answer that tells why is the last one
 *
 * Before `open` nothing but ApiVersions, SaslHandshake and SaslAuthenticate is served. While a user logs in once more,
 * the connection goes on to be served as before.
 */
import { StreamError, toStreamError } from "../../../shared/errors.ts";
import type { ErrorCode } from "../../../shared/errors.ts";
import type { Principal } from "../../access/principal.ts";
import type { UserDirectory } from "../../access/user-directory.ts";
import { beginLogin } from "./mechanisms.ts";
import type { Login, Mechanism } from "./mechanisms.ts";

const SASL_HANDSHAKE_KEY = 17;
const API_VERSIONS_KEY = 18;
const SASL_AUTHENTICATE_KEY = 36;
const servedBeforeLogin: ReadonlySet<number> = new Set([SASL_HANDSHAKE_KEY, API_VERSIONS_KEY, SASL_AUTHENTICATE_KEY]);

/** SCRAM messages and passwords are far shorter. */
export const TOKEN_BYTES_MAX = 8 * 1024;
const SHOWN_LENGTH_MAX = 64;

export type SaslSessionParts = {
  readonly users: UserDirectory;
  readonly mechanisms: readonly Mechanism[];
  /** The connection speaks for somebody from now on. */
  readonly onLogin: (principal: Principal) => void;
  readonly onFailure: (failure: LoginFailure) => void;
};

export type LoginFailure = {
  readonly error: StreamError;
  readonly mechanism: string | undefined;
  /** Whom the client claims to be; anything may stand there. */
  readonly user: string | undefined;
};

export type HandshakeAnswer = { readonly error: ErrorCode | null; readonly mechanisms: readonly string[] };
export type TokenAnswer =
  | { readonly error: null; readonly reply: Buffer }
  | { readonly error: ErrorCode; readonly message: string };

type Phase = "start" | "logging-in" | "open" | "over";

export class SaslSession {
  readonly #parts: SaslSessionParts;
  #phase: Phase = "start";
  #login: Login | undefined;
  #mechanism: Mechanism | undefined;
  #principal: Principal | undefined;
  /** A token is being checked: the next may only come when it is answered. */
  #isChecking = false;
  #takesRawTokens = false;

  constructor(parts: SaslSessionParts) {
    this.#parts = parts;
  }

  /** Nothing is served any more once the answers in flight are out. */
  get isOver(): boolean {
    return this.#phase === "over";
  }

  /** After a handshake of version 0 tokens come as they are, without a request around them. */
  get takesRawTokens(): boolean {
    return this.#phase === "logging-in" && this.#takesRawTokens;
  }

  get isLoggedIn(): boolean {
    return this.#principal !== undefined;
  }

  mayServe(apiKey: number): boolean {
    if (this.#phase === "over") return false;
    return this.isLoggedIn || servedBeforeLogin.has(apiKey);
  }

  handshake(wanted: string, version: number): HandshakeAnswer {
    const { mechanisms } = this.#parts;
    if (this.#phase !== "start" && this.#phase !== "open") {
      this.#fail(new StreamError("ILLEGAL_SASL_STATE", "a SaslHandshake in the midst of a login"));
      return { error: "ILLEGAL_SASL_STATE", mechanisms };
    }
    const mechanism = mechanisms.find((each) => each === wanted);
    if (mechanism === undefined) {
      this.#fail(new StreamError("UNSUPPORTED_SASL_MECHANISM", `the client wants '${shown(wanted)}'`));
      return { error: "UNSUPPORTED_SASL_MECHANISM", mechanisms };
    }
    this.#mechanism = mechanism;
    this.#login = beginLogin(mechanism, this.#parts.users);
    this.#takesRawTokens = version === 0;
    this.#phase = "logging-in";
    return { error: null, mechanisms };
  }

  /** @throws StreamError OVERLOADED: the connection is closed without an answer, which clients take as "try again". */
  async authenticate(token: Buffer): Promise<TokenAnswer> {
    const login = this.#login;
    if (this.#phase !== "logging-in" || login === undefined || this.#isChecking) {
      return this.#refuse(new StreamError("ILLEGAL_SASL_STATE", "a SASL token where none is expected"));
    }
    this.#isChecking = true;
    try {
      if (token.length > TOKEN_BYTES_MAX) {
        throw new StreamError("SASL_AUTHENTICATION_FAILED", `a SASL token of more than ${TOKEN_BYTES_MAX} bytes`);
      }
      const { reply, user } = await login.step(token);
      // The connection may have been refused meanwhile, for what came behind the token.
      if (this.#phase !== "logging-in") return this.#refuse(new StreamError("ILLEGAL_SASL_STATE", "out of order"));
      if (user !== undefined) this.#complete(user);
      return { error: null, reply };
    } catch (error) {
      const failure = toStreamError(error);
      if (failure.code !== "SASL_AUTHENTICATION_FAILED") throw error;
      return this.#refuse(failure);
    } finally {
      this.#isChecking = false;
    }
  }

  #complete(user: string): void {
    if (this.#principal !== undefined && this.#principal.name !== user) {
      const message = "a connection cannot go from one user to another";
      throw new StreamError("SASL_AUTHENTICATION_FAILED", message);
    }
    const isFirst = this.#principal === undefined;
    this.#principal = { name: user };
    this.#login = undefined;
    this.#phase = "open";
    if (isFirst) this.#parts.onLogin(this.#principal);
  }

  #refuse(error: StreamError): TokenAnswer {
    this.#fail(error);
    return { error: error.code, message: error.message };
  }

  #fail(error: StreamError): void {
    if (this.#phase === "over") return;
    const user = this.#login?.claimedUser;
    this.#parts.onFailure({ error, mechanism: this.#mechanism, user: user === undefined ? undefined : shown(user) });
    this.#phase = "over";
  }
}

/** What a stranger sent, for the log. */
function shown(text: string): string {
  return text.length <= SHOWN_LENGTH_MAX ? text : `${text.slice(0, SHOWN_LENGTH_MAX)}…`;
}
