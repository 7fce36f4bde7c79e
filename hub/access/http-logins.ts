/**
 * Who speaks through an HTTP request, where the hub has users: HTTP's own login (RFC 7617, "Basic"). Each request carries
 * the password, and checking one costs milliseconds on purpose; what was right is remembered for a minute, as a keyed hash.
 */
import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../../shared/clock.ts";
import { StreamError } from "../../shared/errors.ts";
import { LoginFailureLimiter } from "./login-failure-limiter.ts";
import { anonymous } from "./principal.ts";
import type { Principal } from "./principal.ts";
import type { UserDirectory } from "./user-directory.ts";

export const LOGIN_REMEMBERED_MS = 60_000;
/** Beyond it all are forgotten, and checked again. */
export const LOGINS_REMEMBERED_MAX = 1000;
const CREDENTIALS_LENGTH_MAX = 1024;
const SECRET_BYTES = 32;
const BASIC = /^basic ([A-Za-z0-9+/]+={0,2})$/i;

export type HttpLoginsParts = {
  readonly users: Pick<UserDirectory, "verifyPassword"> | undefined;
  readonly clock: Clock;
  readonly failuresPerMinuteMax: number;
};

export class HttpLogins {
  readonly #parts: HttpLoginsParts;
  readonly #limiter: LoginFailureLimiter;
  readonly #secret = randomBytes(SECRET_BYTES);
  readonly #known = new Map<string, { readonly principal: Principal; readonly untilMs: number }>();

  constructor(parts: HttpLoginsParts) {
    this.#parts = parts;
    this.#limiter = new LoginFailureLimiter(parts.clock, parts.failuresPerMinuteMax);
  }

  /** `authorization`: the request's header. @throws StreamError UNAUTHORIZED, OVERLOADED. */
  async principalOf(authorization: string | undefined, address: string): Promise<Principal> {
    const { users, clock } = this.#parts;
    if (users === undefined) return anonymous;
    if (authorization === undefined) throw refused("the hub has users, and the request names none");
    const mark = createHmac("sha256", this.#secret).update(authorization).digest("base64");
    const known = this.#known.get(mark);
    if (known !== undefined && clock.monotonicMs() < known.untilMs) return known.principal;
    if (this.#limiter.isBlocked(address)) {
      throw new StreamError("OVERLOADED", "too many failed logins from this address within a minute");
    }
    const { name, password } = parseBasic(authorization);
    if (!(await users.verifyPassword(name, password))) {
      this.#limiter.countFailure(address);
      throw refused("user name or password is wrong");
    }
    return this.#remember(mark, { name });
  }

  #remember(mark: string, principal: Principal): Principal {
    if (this.#known.size >= LOGINS_REMEMBERED_MAX) this.#known.clear();
    this.#known.set(mark, { principal, untilMs: this.#parts.clock.monotonicMs() + LOGIN_REMEMBERED_MS });
    return principal;
  }
}

/** @throws StreamError UNAUTHORIZED. */
function parseBasic(authorization: string): { readonly name: string; readonly password: string } {
  const encoded = authorization.length > CREDENTIALS_LENGTH_MAX ? undefined : BASIC.exec(authorization)?.[1];
  if (encoded === undefined) throw refused("the Authorization header is not of the kind Basic");
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (colon === -1) throw refused("the Authorization header has no password");
  return { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

function refused(reason: string): StreamError {
  return new StreamError("UNAUTHORIZED", reason, {
    hint: "Send the name and password of one of the hub's `users` (HTTP Basic).",
  });
}
