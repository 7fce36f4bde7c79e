/**
 * Loads a program's configuration and remembers where each value came from.
 *
 *   flags  ▷  TRIBUTARY_* variables  ▷  YAML file (--config)  ▷  defaults         the first that has a value wins
 *
 * A list (`routes`) is taken as a whole from one of them. A variable that is empty counts as not set, and so does a key
 * of the file without a value. Secrets can be given as the name of a file that holds them: `uplink.tokenFile` fills
 * `uplink.token`. Every mistake of every source is reported at once.
 */
import { readFileSync } from "node:fs";
import { parseDocument } from "yaml";
import type * as z from "zod";
import { ConfigFile, describeReadError } from "./config-file.ts";
import type { ConfigProblem } from "./config-problem.ts";
import { deepFreeze } from "../deep-freeze.ts";
import { configError, displayValue, findingsOf, valueAt } from "./config-problem.ts";
import type { ConfigPath, ConfigRow, SchemaNode } from "./config-rows.ts";
import { EACH, configRows, formatPath, schemaNode } from "./config-rows.ts";
import { nearestName } from "./nearest-name.ts";

/** A flag of the command line and the key it sets. */
export type ConfigFlag = {
  /** "http.listen" */
  readonly path: string;
  /** "HOST:PORT", for the help. */
  readonly placeholder: string;
  readonly description: string;
};

/** By the flag's long name without dashes: "token-file". */
export type ConfigFlags = Readonly<Record<string, ConfigFlag>>;

export type ConfigSources = {
  /** By the flag's long name without dashes; undefined where it was not given. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Path of the YAML file; else TRIBUTARY_CONFIG names it. */
  readonly file?: string | undefined;
};

export type ConfigDefinition<Schema extends z.ZodType> = {
  readonly program: "agent" | "hub";
  readonly schema: Schema;
  readonly flags: ConfigFlags;
};

export type Origin =
  | { readonly type: "flag"; readonly flag: string }
  | { readonly type: "variable"; readonly variable: string }
  | { readonly type: "file"; readonly file: string; readonly line: number | undefined }
  | { readonly type: "default" };

/** One line of `tributary check`. */
export type ExplainedValue = {
  readonly path: string;
  /** As it would be written; `***` for a secret. */
  readonly value: string;
  readonly origin: Origin;
  readonly description: string;
};

export type LoadedConfig<Config> = {
  /** Frozen through and through. */
  readonly config: Config;
  /** Of every key that has a value, by its path; keys within a list are there with their index. */
  readonly origins: ReadonlyMap<string, Origin>;
  readonly explained: readonly ExplainedValue[];
  /** TRIBUTARY_* variables that are not this program's: perhaps the other one's, perhaps a mistake. */
  readonly unusedVariables: readonly string[];
};

const FILE_VARIABLE = "TRIBUTARY_CONFIG";
/** Variables that are read elsewhere. */
const otherVariables: readonly string[] = [
  FILE_VARIABLE,
  "TRIBUTARY_CRASH_AT",
  // As whom the commands log in at a hub.
  "TRIBUTARY_USER",
  "TRIBUTARY_PASSWORD",
];
const SECRET_TEXT = "***";
const FILE_SUFFIX = "File";

/** @throws StreamError CONFIG_INVALID or LISTENER_NOT_PROTECTED, with every mistake in its message. */
export function loadConfig<Schema extends z.ZodType>(
  definition: ConfigDefinition<Schema>,
  sources: ConfigSources,
): LoadedConfig<z.output<Schema>> {
  const loading = new Loading(definition, sources);
  const parsed = definition.schema.safeParse(loading.values);
  for (const issue of parsed.error?.issues ?? []) loading.report(issue);
  if (loading.problems.length > 0 || !parsed.success) throw configError(definition.program, loading.problems);
  const explained = loading.explain(parsed.data);
  return {
    config: deepFreeze(parsed.data),
    origins: new Map(explained.map(({ path, origin }) => [path, origin])),
    explained,
    unusedVariables: loading.unusedVariables,
  };
}

/** The values as they come together, each with what set it. */
class Loading {
  readonly values: unknown;
  readonly problems: ConfigProblem[] = [];
  readonly unusedVariables: string[] = [];
  readonly #root: SchemaNode;
  readonly #rows: readonly ConfigRow[];
  readonly #file: ConfigFile | undefined;
  /** What flags and variables set, by path. */
  readonly #overrides = new Map<string, Origin>();

  constructor(definition: ConfigDefinition<z.ZodType>, sources: ConfigSources) {
    this.#root = schemaNode(definition.schema);
    this.#rows = configRows(this.#root);
    const fileName = sources.file ?? (sources.env[FILE_VARIABLE] || undefined);
    this.#file = fileName === undefined ? undefined : ConfigFile.read(fileName);
    this.problems.push(...(this.#file?.problems ?? []));
    this.values = withoutEmpty(this.#file?.values) ?? {};
    this.#applyVariables(sources.env);
    this.#applyFlags(definition, sources.flags);
    for (const row of this.#rows) if (row.isSecret) this.#applySecretFile(row);
  }

  report(issue: z.core.$ZodIssue): void {
    for (const { path, text, code } of findingsOf(issue, this.#root, this.values)) {
      this.problems.push({ ...this.#placeOf(path), path: formatPath(path), text, code });
    }
  }

  explain(config: unknown): readonly ExplainedValue[] {
    return this.#rows.flatMap((row) =>
      // A list of sections is explained item by item.
      row.node.items?.properties === undefined ? this.#explainRow(row, config) : [],
    );
  }

  #explainRow(row: ConfigRow, config: unknown): ExplainedValue[] {
    return concretePaths(row.keys, this.values).flatMap((path) => {
      const given = valueAt(this.values, path);
      const value = given ?? row.default ?? primitive(valueAt(config, path));
      if (value === undefined) return [];
      const origin: Origin = given === undefined ? { type: "default" } : this.#originOf(path);
      const text = row.isSecret ? SECRET_TEXT : typeof value === "string" ? value : JSON.stringify(value);
      return [{ path: formatPath(path), value: text, origin, description: row.description }];
    });
  }

  #applyVariables(env: ConfigSources["env"]): void {
    const rows = new Map(this.#rows.flatMap((row) => (row.variable === undefined ? [] : [[row.variable, row]])));
    for (const [variable, text] of Object.entries(env)) {
      if (!variable.startsWith("TRIBUTARY_") || text === undefined || text === "") continue;
      const row = rows.get(variable);
      if (row !== undefined) this.#override(row, text, { type: "variable", variable });
      else if (!otherVariables.includes(variable)) this.#unknownVariable(variable, rows.keys());
    }
  }

  /** An environment is shared with other programs, so only what looks like a misspelt variable of ours is a mistake. */
  #unknownVariable(variable: string, known: Iterable<string>): void {
    const near = nearestName(variable, known);
    if (near === undefined) this.unusedVariables.push(variable);
    else this.problems.push({ source: variable, path: "", text: `is not a known variable; did you mean ${near}?` });
  }

  #applyFlags({ flags: known, program }: ConfigDefinition<z.ZodType>, given: ConfigSources["flags"]): void {
    for (const [flag, text] of Object.entries(given)) {
      if (text === undefined) continue;
      const row = this.#rows.find(({ path }) => path === known[flag]?.path);
      if (row === undefined) {
        this.problems.push({ source: `--${flag}`, path: "", text: `is not a flag of the ${program}` });
      } else {
        this.#override(row, text, { type: "flag", flag: `--${flag}` });
      }
    }
  }

  #override(row: ConfigRow, text: string, origin: Origin): void {
    setValue(this.values, row.keys, fromText(text, row.node));
    this.#overrides.set(row.path, origin);
  }

  #applySecretFile(secret: ConfigRow): void {
    const row = this.#rows.find(({ path }) => path === `${secret.path}${FILE_SUFFIX}`);
    const name = row === undefined ? undefined : valueAt(this.values, row.keys);
    if (row === undefined || typeof name !== "string") return;
    const place = { ...this.#placeOf(row.keys), path: row.path };
    if (valueAt(this.values, secret.keys) !== undefined) {
      this.problems.push({ ...place, text: `is set and so is ${secret.path}; give one of them` });
      return;
    }
    try {
      setValue(this.values, secret.keys, readFileSync(name, "utf8").trim());
      this.#overrides.set(secret.path, this.#originOf(row.keys));
    } catch (error) {
      this.problems.push({ ...place, text: `${displayValue(name)} cannot be read: ${describeReadError(error)}` });
    }
  }

  #originOf(path: ConfigPath): Origin {
    const override = this.#overrideOf(path);
    if (override !== undefined) return override;
    if (this.#file === undefined) return { type: "default" };
    return { type: "file", file: this.#file.name, line: this.#file.positionOf(path)?.line };
  }

  #overrideOf(path: ConfigPath): Origin | undefined {
    for (let length = path.length; length > 0; length--) {
      const origin = this.#overrides.get(formatPath(path.slice(0, length)));
      if (origin !== undefined) return origin;
    }
    return undefined;
  }

  #placeOf(path: ConfigPath): Pick<ConfigProblem, "source" | "line" | "column"> {
    const override = this.#overrideOf(path);
    if (override?.type === "flag") return { source: override.flag };
    if (override?.type === "variable") return { source: override.variable };
    if (this.#file === undefined) return {};
    return { source: this.#file.name, ...this.#file.positionOf(path) };
  }
}

/** A key without a value is as good as absent: a section whose every line is commented out. */
function withoutEmpty(value: unknown): unknown {
  if (value === null) return undefined;
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== "object") return value;
  const entries = Object.entries(value).map(([key, child]) => [key, withoutEmpty(child)] as const);
  return Object.fromEntries(entries.filter(([, child]) => child !== undefined));
}

/** What was written as text, as the type its key has; left as text where it does not fit, for the schema to refuse. */
function fromText(text: string, node: SchemaNode): unknown {
  const types = (node.anyOf ?? [node]).map(({ type }) => type);
  if ((types.includes("integer") || types.includes("number")) && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (types.includes("boolean") && (text === "true" || text === "false")) return text === "true";
  if (types.includes("array") || types.includes("object")) {
    const document = parseDocument(text);
    return document.errors.length > 0 ? text : withoutEmpty(document.toJS());
  }
  return text;
}

/** Sets a key, making the sections around it; where the file has something else than a section, the file is wrong. */
function setValue(values: unknown, path: ConfigPath, value: unknown): void {
  let section = values as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) {
    section[key] ??= {};
    if (typeof section[key] !== "object") return;
    section = section[key] as Record<string | number, unknown>;
  }
  const last = path.at(-1);
  if (last !== undefined) section[last] = value;
}

/** ["routes", EACH, "match"] once for each route there is. */
function concretePaths(keys: ConfigPath, values: unknown): readonly ConfigPath[] {
  const each = keys.indexOf(EACH);
  if (each < 0) return [keys];
  const list = valueAt(values, keys.slice(0, each));
  if (!Array.isArray(list)) return [];
  return list.flatMap((_, index) => concretePaths([...keys.slice(0, each), index, ...keys.slice(each + 1)], values));
}

function primitive(value: unknown): string | number | boolean | undefined {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : undefined;
}
