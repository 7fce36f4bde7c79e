/** The logins of a listener with users: what each connection may do before it is authenticated, and for how long. */
import type { Clock } from "../../../shared/clock.ts";
import { isLoopbackHost } from "../../../shared/config/listen-address.ts";
import { StreamError } from "../../../shared/errors.ts";
import { LoginFailureLimiter } from "../../access/login-failure-limiter.ts";
import type { Principal } from "../../access/principal.ts";
import type { UserDirectory } from "../../access/user-directory.ts";
import type { ConnectionGate } from "../connection.ts";
import { FRAME_BYTES_MIN } from "../frame-reader.ts";
import type { KafkaOptions } from "../options.ts";
import { offeredMechanisms } from "./mechanisms.ts";
import { SaslSession } from "./sasl-session.ts";
import type { LoginFailure } from "./sasl-session.ts";

/** A raw token has no header. */
const RAW_TOKEN_BYTES_MIN = 1;

export type LoginsParts = {
  readonly users: UserDirectory;
  readonly clock: Clock;
  readonly options: KafkaOptions;
};

export type Newcomer = {
  readonly address: string;
  readonly isEncrypted: boolean;
  readonly onLogin: (principal: Principal) => void;
  readonly onFailure: (failure: LoginFailure) => void;
  /** Has to close the connection. */
  readonly onTooLate: (error: StreamError) => void;
};

export type ConnectionLogin = {
  readonly session: SaslSession;
  readonly gate: ConnectionGate;
  /** The connection is gone. */
  readonly abandon: () => void;
};

export class Logins {
  readonly #parts: LoginsParts;
  readonly #limiter: LoginFailureLimiter;
  #failuresTotal = 0;

  constructor(parts: LoginsParts) {
    this.#parts = parts;
    this.#limiter = new LoginFailureLimiter(parts.clock, parts.options.loginFailuresPerMinuteMax);
  }

  get failuresTotal(): number {
    return this.#failuresTotal;
  }

  /** The address has guessed too often and is not listened to for now. */
  isBlocked(address: string): boolean {
    return this.#limiter.isBlocked(address);
  }

  begin({ address, isEncrypted, onLogin, onFailure, onTooLate }: Newcomer): ConnectionLogin {
    const { loginMsMax } = this.#parts.options;
    const deadline = setTimeout(() => {
      onTooLate(new StreamError("TIMEOUT", `loginMsMax: not authenticated within ${loginMsMax} ms`));
    }, loginMsMax);
    const session = new SaslSession({
      users: this.#parts.users,
      mechanisms: offeredMechanisms({ isPrivate: isEncrypted || isLoopbackHost(address) }),
      onLogin: (principal) => {
        clearTimeout(deadline);
        onLogin(principal);
      },
      onFailure: (failure) => {
        this.#failuresTotal++;
        if (failure.error.code === "SASL_AUTHENTICATION_FAILED") this.#limiter.countFailure(address);
        onFailure(failure);
      },
    });
    return { session, gate: gateOf(session, this.#parts.options), abandon: () => clearTimeout(deadline) };
  }
}

function gateOf(session: SaslSession, { requestBytesMax, loginRequestBytesMax }: KafkaOptions): ConnectionGate {
  return {
    get frameBytesMin() {
      return session.takesRawTokens ? RAW_TOKEN_BYTES_MIN : FRAME_BYTES_MIN;
    },
    get frameBytesMax() {
      return session.isLoggedIn ? requestBytesMax : loginRequestBytesMax;
    },
    get isOver() {
      return session.isOver;
    },
  };
}

/** Where nobody has to authenticate. */
export function openGate({ requestBytesMax }: KafkaOptions): ConnectionGate {
  return { frameBytesMin: FRAME_BYTES_MIN, frameBytesMax: requestBytesMax, isOver: false };
}
