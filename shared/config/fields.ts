/** Kinds of values that both programs' configurations are made of. */
import * as z from "zod";
import { logLevels } from "../logger.ts";
import { protectionProblem, parseListenAddress } from "./listen-address.ts";
import type { ListenAddress } from "./listen-address.ts";
import type { RuleParams } from "./config-problem.ts";
import type { ConfigMeta } from "./config-rows.ts";

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const SECOND_MS = 1000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

type Bounds = { readonly min?: number; readonly max?: number; readonly default: number };

/** A whole number; what it counts (bytes, milliseconds) is in its key. */
export function wholeNumber({ min = 0, max = Number.MAX_SAFE_INTEGER, default: value }: Bounds, description: string) {
  const meta: ConfigMeta = { description };
  return z.int().min(min).max(max).default(value).meta(meta);
}

/** A whole number or -1, which is undefined to the program: no limit. */
export function limitOrNone({ min = 1, default: value }: Bounds, description: string) {
  const meta: ConfigMeta = { description, allowed: `a whole number, ${min} or more, or -1 for no limit` };
  return z
    .union([z.int().min(min), z.literal(-1)])
    .transform((limit) => (limit === -1 ? undefined : limit))
    .prefault(value)
    .meta(meta);
}

export function flag(value: boolean, description: string) {
  const meta: ConfigMeta = { description };
  return z.boolean().default(value).meta(meta);
}

export function text(value: string, description: string) {
  const meta: ConfigMeta = { description };
  return z.string().min(1).default(value).meta(meta);
}

/** A file that has to be named where its section is there. */
export function fileName(description: string) {
  const meta: ConfigMeta = { description };
  return z.string().min(1).meta(meta);
}

const TOKEN_LENGTH_MAX = 1024;

export function secret(description: string) {
  const meta: ConfigMeta = { description, isSecret: true, allowed: `text of 1 to ${TOKEN_LENGTH_MAX} characters` };
  return z.string().min(1).max(TOKEN_LENGTH_MAX).optional().meta(meta);
}

/** The file that holds a secret; the loader reads it into the key without `File`. */
export function secretFile(key: string) {
  const meta: ConfigMeta = { description: `File that holds \`${key}\`; white space around it is ignored.` };
  return z.string().min(1).optional().meta(meta);
}

const ADDRESS_ALLOWED = "HOST:PORT, such as 127.0.0.1:1883; port 0 takes any free one";

function address() {
  return z.string().transform((value, context): ListenAddress => {
    const parsed = parseListenAddress(value);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: "custom", message: `found ${JSON.stringify(value)}, allowed is ${ADDRESS_ALLOWED}` });
    return z.NEVER;
  });
}

export function listenAddress(value: string, description: string) {
  const meta: ConfigMeta = { description, allowed: ADDRESS_ALLOWED };
  return address().prefault(value).meta(meta);
}

export function optionalAddress(description: string) {
  const meta: ConfigMeta = { description, allowed: ADDRESS_ALLOWED };
  return address().optional().meta(meta);
}

export function logLevel() {
  const meta: ConfigMeta = { description: "What is logged to stderr: this and everything more severe." };
  return z.enum(logLevels).default("info").meta(meta);
}

export const INSECURE_DESCRIPTION =
  "Listen on an address other than loopback although nobody has to authenticate there: your word that the network itself is trusted.";

/** The rule of listen-address.ts for a section with `insecure`; `missing` says what would protect the listener. */
export function checkProtection(
  context: z.core.$RefinementCtx,
  listener: {
    readonly key: string;
    /** Where the key is, when it is not in the section that is checked itself. */
    readonly section?: readonly string[];
    readonly address: ListenAddress | undefined;
    /** Everyone who connects has to prove who they are. */
    readonly isAuthenticated?: boolean;
    readonly insecure: boolean;
    readonly missing: string;
  },
): void {
  const { key, section = [], address: listen, isAuthenticated = false, insecure, missing } = listener;
  if (listen === undefined) return;
  const problem = protectionProblem({ address: listen, isAuthenticated, insecure });
  if (problem === undefined) return;
  const params: RuleParams = { code: "LISTENER_NOT_PROTECTED" };
  context.addIssue({
    code: "custom",
    path: [...section, key],
    message: `is not protected: ${problem}; ${missing}`,
    params,
  });
}
