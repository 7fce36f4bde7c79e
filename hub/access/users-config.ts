/**
 * `users` in the hub's configuration: who there is, what is kept of their passwords, and what they may do.
 *
 *   users:
 *     - name: telegraf
 *       credentials: [ SCRAM-SHA-256$4096:… ]             as `tributary users hash telegraf` prints them
 *       acls:
 *         - { topic: sensors-, pattern: prefixed, operations: [ read, describe ] }
 */
import * as z from "zod";
import { flag } from "../../shared/config/fields.ts";
import type { ConfigMeta } from "../../shared/config/config-rows.ts";
import { StreamError } from "../../shared/errors.ts";
import type { Acl } from "./acl.ts";
import { operations } from "./authorizer.ts";
import type { Operation } from "./authorizer.ts";
import { anonymous } from "./principal.ts";
import { isUnambiguous } from "./saslprep.ts";
import { parseCredential } from "./scram-credential.ts";
import type { User } from "./user-directory.ts";

const NAME_LENGTH_MAX = 249;
const NAME = /^[\p{L}\p{N}._@+:/-]+$/u;
const NAME_ALLOWED = `1 to ${NAME_LENGTH_MAX} letters, digits and . _ @ + : / - (not ${anonymous.name})`;
const CREDENTIAL_LENGTH_MAX = 1024;
const USERS_MAX = 10_000;
const ACLS_PER_USER_MAX = 1000;
const RESOURCE_NAME_LENGTH_MAX = 249;

/** Names that mean the same to every client, and that no file or log line has to quote. */
export function userNameProblem(name: string): string | undefined {
  const isAllowed = NAME.test(name) && name.length <= NAME_LENGTH_MAX && isUnambiguous(name);
  return isAllowed && name !== anonymous.name ? undefined : `allowed is ${NAME_ALLOWED}`;
}

function userName() {
  const meta: ConfigMeta = { description: "What clients log in as.", allowed: NAME_ALLOWED };
  return z
    .string()
    .superRefine((value, context) => {
      const problem = userNameProblem(value);
      if (problem === undefined) return;
      context.addIssue({ code: "custom", message: `found ${JSON.stringify(value.slice(0, 60))}, ${problem}` });
    })
    .meta(meta);
}

function credentials() {
  const meta: ConfigMeta = {
    description: "What is kept of the password: one for each SCRAM mechanism the user may log in with.",
    isSecret: true,
    allowed: "a list of what `tributary users hash NAME` prints, one for each mechanism",
  };
  const credential = z
    .string()
    .max(CREDENTIAL_LENGTH_MAX)
    .superRefine((value, context) => {
      try {
        parseCredential(value);
      } catch (error) {
        if (!(error instanceof StreamError)) throw error;
        context.addIssue({ code: "custom", message: error.message.replace(/^[A-Z_]+: /, "") });
      }
    })
    .meta({ ...meta, allowed: "what `tributary users hash NAME` prints" } satisfies ConfigMeta);
  return z
    .array(credential)
    .min(1)
    .superRefine((values, context) => {
      const mechanisms = values.map((value) => value.split("$", 1)[0]);
      if (new Set(mechanisms).size === mechanisms.length) return;
      context.addIssue({ code: "custom", message: "has two credentials for one mechanism; keep one of them" });
    })
    .meta(meta);
}

function resourceName(what: string) {
  const meta: ConfigMeta = { description: `${what} the rule is about; "*" stands for every one.` };
  return z.string().min(1).max(RESOURCE_NAME_LENGTH_MAX).optional().meta(meta);
}

function rule() {
  const cluster: ConfigMeta = { description: "The rule is about the hub as a whole.", allowed: "true" };
  const pattern: ConfigMeta = {
    description: "literal: the name as it stands; prefixed: every name that begins with it.",
  };
  const allowed: ConfigMeta = {
    description: "What the user may do there, in Kafka's words.",
    allowed: `all, or a list of ${operations.join(", ")}`,
  };
  const list = z.array(z.enum([...operations, "all"])).min(1);
  return z
    .strictObject({
      topic: resourceName("The topic"),
      group: resourceName("The consumer group"),
      cluster: z.literal(true).optional().meta(cluster),
      pattern: z.enum(["literal", "prefixed"]).default("literal").meta(pattern),
      // The bare word is what a reader of "all, or a list of" writes.
      operations: z.union([z.literal("all"), list]).meta(allowed),
    })
    .superRefine((value, context) => {
      const named = [value.topic, value.group, value.cluster].filter((each) => each !== undefined);
      if (named.length !== 1) {
        context.addIssue({ code: "custom", message: "has to name one of topic, group and cluster, and only one" });
      } else if (value.cluster === true && value.pattern === "prefixed") {
        context.addIssue({ code: "custom", path: ["pattern"], message: "does not go with cluster, which has no name" });
      }
    });
}

export function usersSection() {
  // Of the list and of an item that is none: a credential may stand where it does not belong.
  const list: ConfigMeta = {
    description: "Who may use the hub. With users, every Kafka client has to log in (SASL); without, nobody can.",
    isSecret: true,
    allowed: "a list of users",
  };
  const rules: ConfigMeta = {
    description: "What the user may do. There are only permissions: what no rule gives is refused.",
    allowed: "a list of rules",
  };
  const user = z
    .strictObject({
      name: userName(),
      credentials: credentials(),
      superuser: flag(false, "May do everything, without rules."),
      acls: z.array(rule()).max(ACLS_PER_USER_MAX).default([]).meta(rules),
    })
    .meta({ isSecret: true, description: "A user.", allowed: "a section with keys of its own" } satisfies ConfigMeta);
  return z
    .array(user)
    .max(USERS_MAX)
    .default([])
    .superRefine((users, context) => {
      const seen = new Set<string>();
      for (const [index, each] of users.entries()) {
        if (seen.has(each.name)) {
          context.addIssue({ code: "custom", path: [index, "name"], message: `${each.name} is there twice` });
        }
        seen.add(each.name);
      }
    })
    .meta(list);
}

export type UsersConfig = z.output<ReturnType<typeof usersSection>>;

/** The users as the hub works with them. */
export function usersOf(config: UsersConfig): readonly User[] {
  return config.map(({ name, credentials: texts, superuser, acls }) => ({
    name,
    isSuperuser: superuser,
    credentials: texts.map(parseCredential),
    acls: acls.map(aclOf),
  }));
}

function aclOf({ topic, group, pattern, operations: words }: UsersConfig[number]["acls"][number]): Acl {
  const all: readonly Operation[] = operations;
  const isAll = words === "all" || words.includes("all");
  const allowed = isAll ? all : words.filter((word) => word !== "all");
  if (topic !== undefined) return { resource: "topic", name: topic, pattern, operations: allowed };
  if (group !== undefined) return { resource: "group", name: group, pattern, operations: allowed };
  return { resource: "cluster", name: "", pattern, operations: allowed };
}
