/**
 * What a configuration schema says, as a flat table: one row a key, from which the loader, `tributary check` and
 * docs/configuration.md are made. The table is read from zod's JSON Schema, so a key exists in one place only.
 *
 *   mqtt.listen               a value              TRIBUTARY_MQTT_LISTEN
 *   routes                    a list               TRIBUTARY_ROUTES, as YAML
 *   routes[].match            of each item         (only inside the list)
 *   routes[].headers          a map of texts
 */
import * as z from "zod";

/** Keys of `.meta()` that the schemas use besides `description`. */
export type ConfigMeta = {
  readonly description: string;
  /** The value is never printed. */
  readonly isSecret?: boolean;
  /** What is allowed, where the JSON Schema cannot say it. */
  readonly allowed?: string;
  /** The default, where it is not the same everywhere. */
  readonly defaultText?: string;
};

/** The part of JSON Schema that zod writes and this file reads. */
export type SchemaNode = Partial<ConfigMeta> & {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly required?: readonly string[];
  readonly items?: SchemaNode;
  readonly additionalProperties?: boolean | SchemaNode;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly SchemaNode[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly default?: unknown;
};

export type ConfigPath = readonly (string | number)[];

export type ConfigRow = {
  readonly path: string;
  readonly keys: ConfigPath;
  readonly node: SchemaNode;
  readonly description: string;
  readonly allowed: string;
  readonly default: unknown;
  readonly defaultText: string | undefined;
  readonly isRequired: boolean;
  readonly isSecret: boolean;
  /** Undefined inside a list. */
  readonly variable: string | undefined;
};

/** Stands for any index of a list. */
export const EACH = "[]";

export function schemaNode(schema: z.ZodType): SchemaNode {
  return z.toJSONSchema(schema, { io: "input" }) as SchemaNode;
}

/** All keys that hold a value, in the order of the schema. */
export function configRows(root: SchemaNode): readonly ConfigRow[] {
  return [...rowsBelow(root, [])];
}

function* rowsBelow(node: SchemaNode, keys: readonly string[]): Generator<ConfigRow> {
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    const path = [...keys, key];
    const isRequired = node.required?.includes(key) === true;
    if (child.properties === undefined) yield configRow(path, child, isRequired);
    else yield* rowsBelow(child, path);
    if (child.items?.properties !== undefined) yield* rowsBelow(child.items, [...path, EACH]);
  }
}

function configRow(keys: readonly string[], node: SchemaNode, isRequired: boolean): ConfigRow {
  return {
    path: formatPath(keys),
    keys,
    node,
    description: node.description ?? "",
    allowed: describeAllowed(node),
    default: node.default,
    defaultText: node.defaultText,
    isRequired,
    isSecret: node.isSecret === true,
    variable: keys.includes(EACH) ? undefined : variableName(keys),
  };
}

/** The schema at a path, list indices included; undefined when there is none. */
export function nodeAt(root: SchemaNode, path: ConfigPath): SchemaNode | undefined {
  let node: SchemaNode | undefined = root;
  for (const key of path) {
    if (typeof key === "number" || key === EACH) node = node?.items;
    else node = node?.properties?.[key] ?? mapValue(node);
  }
  return node;
}

function mapValue(node: SchemaNode | undefined): SchemaNode | undefined {
  return typeof node?.additionalProperties === "object" ? node.additionalProperties : undefined;
}

/** ["routes", 0, "match"] as "routes[0].match". */
export function formatPath(path: ConfigPath): string {
  let text = "";
  for (const key of path) {
    if (typeof key === "number") text += `[${key}]`;
    else if (key === EACH) text += EACH;
    else text += text === "" ? key : `.${key}`;
  }
  return text;
}

/** ["mqtt", "webSocketListen"] as "TRIBUTARY_MQTT_WEB_SOCKET_LISTEN". */
export function variableName(keys: readonly string[]): string {
  const words = keys.map((key) => key.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase());
  return ["TRIBUTARY", ...words].join("_");
}

/** "a whole number from 1 to 64", "one of none, leader, all", "text". */
export function describeAllowed(node: SchemaNode): string {
  if (node.allowed !== undefined) return node.allowed;
  if (node.anyOf !== undefined) return node.anyOf.map(describeAllowed).join(" or ");
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum !== undefined) return `one of ${node.enum.map(String).join(", ")}`;
  switch (node.type) {
    case "integer":
    case "number":
      return `a ${node.type === "integer" ? "whole " : ""}number${describeBounds(node)}`;
    case "boolean":
      return "true or false";
    case "array":
      return "a list";
    case "object":
      return node.properties === undefined ? "a map of names to texts" : "a section with keys of its own";
    default:
      return node.minLength === undefined ? "text" : "text that is not empty";
  }
}

function describeBounds({ minimum, maximum }: SchemaNode): string {
  const hasMaximum = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER;
  const hasMinimum = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER;
  if (hasMinimum && hasMaximum) return ` from ${minimum} to ${maximum}`;
  if (hasMinimum) return `, ${minimum} or more`;
  return hasMaximum ? `, at most ${maximum}` : "";
}
