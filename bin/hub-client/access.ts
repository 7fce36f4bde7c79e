/** How a command reaches the hub: where, as whom, and over what. */
import { readFileSync } from "node:fs";
import { describeReadError } from "../../shared/config/config-file.ts";
import type { Environment } from "../context.ts";
import { UsageError } from "../failure.ts";
import type { HubAddress } from "./address.ts";

export type HubLogin = { readonly user: string; readonly password: string };

export type HubAccess = HubAddress & {
  /** Undefined for a hub without users. */
  readonly login?: HubLogin;
  /** Undefined without TLS; `ca` in PEM where the hub's certificate is not of a well-known issuer. */
  readonly tls?: { readonly ca?: string };
};

/** As commander makes them of the command line. */
export type HubOptions = {
  readonly kafka: HubAddress;
  readonly user?: string;
  readonly passwordFile?: string;
  readonly tls: boolean;
  readonly caFile?: string;
};

/** A password is never on the command line, where every user of the machine could read it. */
export const USER_VARIABLE = "TRIBUTARY_USER";
export const PASSWORD_VARIABLE = "TRIBUTARY_PASSWORD";

/** @throws UsageError when what is given does not go together, or a file cannot be read. */
export function hubAccess(options: HubOptions, { env }: { readonly env: Environment }): HubAccess {
  const login = loginOf(options, env);
  const tls = tlsOf(options);
  return { ...options.kafka, ...(login === undefined ? {} : { login }), ...(tls === undefined ? {} : { tls }) };
}

function loginOf({ user: named, passwordFile }: HubOptions, env: Environment): HubLogin | undefined {
  const user = named ?? fromVariable(env, USER_VARIABLE);
  if (user === undefined) {
    if (passwordFile === undefined) return undefined;
    throw new UsageError(`--password-file needs a user: --user NAME, or ${USER_VARIABLE}`);
  }
  const password =
    passwordFile === undefined ? fromVariable(env, PASSWORD_VARIABLE) : read("--password-file", passwordFile).trim();
  if (password === undefined || password === "") {
    throw new UsageError(`the password of '${user}' is missing: --password-file FILE, or ${PASSWORD_VARIABLE}`);
  }
  return { user, password };
}

function tlsOf({ tls, caFile }: HubOptions): HubAccess["tls"] {
  if (caFile !== undefined) return { ca: read("--ca-file", caFile) };
  return tls ? {} : undefined;
}

/** One that is empty counts as not set, as everywhere. */
function fromVariable(env: Environment, name: string): string | undefined {
  return env[name] || undefined;
}

function read(option: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`${option}: '${file}' cannot be read: ${describeReadError(error)}`);
  }
}
