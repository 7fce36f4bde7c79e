/** The SASL mechanisms of the hub: what a login goes through after the client has chosen one. */
import { randomBytes } from "node:crypto";
import { scramMechanismNames } from "../../access/scram-credential.ts";
import type { ScramMechanism } from "../../access/scram-credential.ts";
import type { UserDirectory } from "../../access/user-directory.ts";
import { parsePlain } from "./plain-message.ts";
import { beginScram, finishScram } from "./scram.ts";
import type { ScramExchange } from "./scram.ts";
import { wrongCredentials } from "./wrong-credentials.ts";

export type Mechanism = ScramMechanism | "PLAIN";

/** `user` is there once the login is complete. */
export type LoginStep = { readonly reply: Buffer; readonly user?: string };

/** One login. A failure is an end: it is not asked again. */
export interface Login {
  /** What is known of who wants to log in, for the log. */
  readonly claimedUser: string | undefined;
  /** @throws StreamError SASL_AUTHENTICATION_FAILED, OVERLOADED. */
  step(token: Buffer): Promise<LoginStep>;
}

const SERVER_NONCE_BYTES = 24;

/**
 * In the order in which the hub prefers them. PLAIN shows the hub the password itself, so it is only for connections on
 * which nobody else can read it.
 */
export function offeredMechanisms(connection: { readonly isPrivate: boolean }): readonly Mechanism[] {
  const scram = scramMechanismNames.toReversed();
  return connection.isPrivate ? [...scram, "PLAIN"] : scram;
}

export function beginLogin(mechanism: Mechanism, users: UserDirectory): Login {
  return mechanism === "PLAIN" ? new PlainLogin(users) : new ScramLogin(mechanism, users);
}

class PlainLogin implements Login {
  readonly #users: UserDirectory;
  claimedUser: string | undefined;

  constructor(users: UserDirectory) {
    this.#users = users;
  }

  async step(token: Buffer): Promise<LoginStep> {
    const { user, password } = parsePlain(token);
    this.claimedUser = user;
    if (!(await this.#users.verifyPassword(user, password))) throw wrongCredentials();
    return { reply: Buffer.alloc(0), user };
  }
}

class ScramLogin implements Login {
  readonly #mechanism: ScramMechanism;
  readonly #users: UserDirectory;
  #exchange: ScramExchange | undefined;

  constructor(mechanism: ScramMechanism, users: UserDirectory) {
    this.#mechanism = mechanism;
    this.#users = users;
  }

  get claimedUser(): string | undefined {
    return this.#exchange?.user;
  }

  async step(token: Buffer): Promise<LoginStep> {
    if (this.#exchange === undefined) {
      this.#exchange = beginScram(token, {
        credentialOf: (user) => this.#users.scramCredential(user, this.#mechanism),
        serverNonce: randomBytes(SERVER_NONCE_BYTES).toString("base64"),
      });
      return { reply: Buffer.from(this.#exchange.serverFirst) };
    }
    return { reply: Buffer.from(finishScram(this.#exchange, token)), user: this.#exchange.user };
  }
}
