/**
 * The hub's users with what is kept of their passwords. Nobody learns from it whether a user exists: an unknown one has
 * a credential too, always the same, that no password fits.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { StreamError } from "../../shared/errors.ts";
import type { AccessUser } from "./acl.ts";
import { ITERATIONS_MIN, deriveCredential, scramMechanismNames, scramMechanisms } from "./scram-credential.ts";
import type { ScramCredential, ScramMechanism } from "./scram-credential.ts";

export type User = AccessUser & { readonly credentials: readonly ScramCredential[] };

/** Of the four threads of Node's pool, which the disk needs too. */
export const VERIFICATIONS_AT_ONCE_MAX = 2;
/** Beyond it a login is refused, to be tried again later. */
export const VERIFICATIONS_WAITING_MAX = 100;
const FAKE_SALT_BYTES = 16;

export class UserDirectory {
  readonly #users: ReadonlyMap<string, User>;
  /** Made of what only the configuration knows, so that fake salts outlive a restart as real ones do. */
  readonly #fakeSecret: Buffer;
  /** What credentials here look like: the fake ones look the same. */
  readonly #templates: ReadonlyMap<ScramMechanism, ScramCredential>;
  /** Against which passwords are checked that are sent as they are. */
  readonly #plainMechanism: ScramMechanism;
  readonly #waiting: (() => void)[] = [];
  #verifying = 0;

  constructor(users: readonly User[]) {
    this.#users = new Map(users.map((user) => [user.name, user]));
    const credentials = users.flatMap((user) => user.credentials);
    const secret = createHash("sha256");
    for (const { storedKey, serverKey } of credentials) secret.update(storedKey).update(serverKey);
    this.#fakeSecret = secret.digest();
    this.#templates = new Map(credentials.toReversed().map((each) => [each.mechanism, each]));
    this.#plainMechanism = scramMechanismNames.find((each) => this.#templates.has(each)) ?? "SCRAM-SHA-256";
  }

  /** Of an unknown user, or one without a credential of this mechanism: a fake. */
  scramCredential(name: string, mechanism: ScramMechanism): ScramCredential {
    // Made in any case: the time that it takes tells nothing.
    const fake = this.#fakeCredential(name, mechanism);
    return this.#users.get(name)?.credentials.find((each) => each.mechanism === mechanism) ?? fake;
  }

  /**
   * Whether this is the user's password.
   *
   * @throws StreamError OVERLOADED when too many wait to be verified already.
   */
  async verifyPassword(name: string, password: string): Promise<boolean> {
    // The same kind for everybody as far as there is one: the time that it takes tells nothing.
    const fake = this.#fakeCredential(name, this.#plainMechanism);
    const own = this.#users.get(name)?.credentials;
    const credential = own?.find((each) => each.mechanism === this.#plainMechanism) ?? own?.[0] ?? fake;
    const { storedKey } = await this.#inTurn(() => deriveCredential({ ...credential, password }));
    return timingSafeEqual(storedKey, credential.storedKey);
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#verifying < VERIFICATIONS_AT_ONCE_MAX) this.#verifying++;
    else {
      if (this.#waiting.length >= VERIFICATIONS_WAITING_MAX) {
        throw new StreamError(
          "OVERLOADED",
          `${VERIFICATIONS_WAITING_MAX} logins wait for their password to be checked`,
        );
      }
      // Whoever finishes hands its place over.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#verifying--;
      else next();
    }
  }

  #fakeCredential(name: string, mechanism: ScramMechanism): ScramCredential {
    const { digest } = scramMechanisms[mechanism];
    const template = this.#templates.get(mechanism);
    const bytesFor = (what: string): Buffer =>
      createHmac(digest, this.#fakeSecret).update(`${what} ${mechanism} ${name}`).digest();
    return {
      mechanism,
      iterations: template?.iterations ?? ITERATIONS_MIN,
      salt: bytesFor("salt").subarray(0, template?.salt.length ?? FAKE_SALT_BYTES),
      storedKey: bytesFor("stored key"),
      serverKey: bytesFor("server key"),
    };
  }
}
