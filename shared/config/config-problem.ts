/** Mistakes in a configuration: all of them in one error, each with its place, what was found and what is allowed. */
import type * as z from "zod";
import type { ErrorCode } from "../errors.ts";
import { StreamError } from "../errors.ts";
import type { ConfigPath, SchemaNode } from "./config-rows.ts";
import { EACH, configRows, describeAllowed, formatPath, nodeAt } from "./config-rows.ts";
import { nearestName } from "./nearest-name.ts";

export type ConfigProblem = {
  /** The file, the variable or the flag; undefined when the value is nowhere. */
  readonly source?: string | undefined;
  /** In the file, from 1. */
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  /** "mqtt.listen"; empty for the configuration as a whole. */
  readonly path: string;
  readonly text: string;
  readonly code?: ErrorCode | undefined;
};

/** An issue of the schema: the key it is about, and the sentence. */
export type Finding = {
  readonly path: ConfigPath;
  readonly text: string;
  readonly code?: ErrorCode | undefined;
};

/** `issue.params` of rules that have an error code of their own. */
export type RuleParams = { readonly code: ErrorCode };

/** What zod found, in our words; `values` are those that were checked. */
export function findingsOf(issue: z.core.$ZodIssue, root: SchemaNode, values: unknown): readonly Finding[] {
  const path = issue.path.map((key) => (typeof key === "number" ? key : String(key)));
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: [...path, key], text: describeUnknownKey(path, key, root) }));
  }
  const node = nodeAt(root, path);
  if (issue.code === "custom") {
    const code = (issue.params as RuleParams | undefined)?.code;
    return [{ path, text: issue.message, code }];
  }
  const allowed = node === undefined ? issue.message : describeAllowed(node);
  const value = valueAt(values, path);
  if (value === undefined) return [{ path, text: `is missing; allowed is ${allowed}` }];
  const found = node?.isSecret === true ? "a value that is not printed" : displayValue(value);
  return [{ path, text: `found ${found}, allowed is ${allowed}` }];
}

function describeUnknownKey(path: ConfigPath, key: string, root: SchemaNode): string {
  const section = nodeAt(root, path);
  const near = nearestName(key, Object.keys(section?.properties ?? {}));
  if (near !== undefined) return `is not a known key; did you mean ${formatPath([...path, near])}?`;
  const elsewhere = configRows(root).find((row) => row.keys.at(-1) === key && !row.keys.includes(EACH));
  if (elsewhere !== undefined) return `is not a known key here; did you mean ${elsewhere.path}?`;
  return `is not a known key; there are ${Object.keys(section?.properties ?? {}).join(", ")}`;
}

export function valueAt(values: unknown, path: ConfigPath): unknown {
  let value = values;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Readonly<Record<string | number, unknown>>)[key];
  }
  return value;
}

const DISPLAY_LENGTH_MAX = 60;

export function displayValue(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= DISPLAY_LENGTH_MAX ? text : `${text.slice(0, DISPLAY_LENGTH_MAX)}…`;
}

export function formatProblem({ source, line, column, path, text }: ConfigProblem): string {
  const place = line === undefined ? source : `${source}:${line}:${column}`;
  return [place, path === "" ? text : `${path} ${text}`].filter((part) => part !== undefined).join(": ");
}

/** CONFIG_INVALID, or the code that all problems share. Its message lists them all. */
export function configError(program: string, problems: readonly ConfigProblem[]): StreamError {
  const first = problems[0]?.code;
  const code = first !== undefined && problems.every((problem) => problem.code === first) ? first : "CONFIG_INVALID";
  const lines = problems.toSorted(inOrder).map(formatProblem);
  const count = lines.length === 1 ? "1 mistake" : `${lines.length} mistakes`;
  const message = `${count} in the configuration of the ${program}\n${lines.map((line) => `  - ${line}`).join("\n")}`;
  return new StreamError(code, message, { details: { problems: lines } });
}

/** What stands in the file first, in its order. */
function inOrder(a: ConfigProblem, b: ConfigProblem): number {
  const last = Number.MAX_SAFE_INTEGER;
  return (a.line ?? last) - (b.line ?? last) || (a.column ?? 0) - (b.column ?? 0);
}
