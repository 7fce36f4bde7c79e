/** Checks requests against their schemas: values of the query are turned into what the schema says, bodies are not. */
import type { FastifySchemaCompiler } from "fastify";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { Value } from "typebox/value";
import { StreamError } from "../../../shared/errors.ts";

export type SchemaError = {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params?: object;
};

export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const check = Compile(schema);
  return (given: unknown) => {
    const value = httpPart === "body" ? given : Value.Convert(schema, Value.Default(schema, given));
    return check.Check(value) ? { value } : { error: check.Errors(value) };
  };
};

/** What is wrong with a request, in words: `limit must be integer`. `place`: what was checked. */
export function describeError(place: string, errors: readonly SchemaError[]): string {
  const unknown = errors.find(({ keyword }) => keyword === "additionalProperties");
  const error = unknown ?? errors[0];
  if (error === undefined) return `${place} is malformed`;
  const where = `${place}${error.instancePath}`;
  const { additionalProperties: names } = (error.params ?? {}) as { readonly additionalProperties?: readonly string[] };
  return unknown === undefined ? `${where} ${error.message}` : `${where} has what is not known: ${names?.join(", ")}`;
}

const placeNames: Readonly<Record<string, string>> = {
  querystring: "the query",
  params: "the path",
  body: "the body",
};

export const schemaErrorFormatter = (errors: readonly unknown[], place: string): Error =>
  new StreamError("INVALID_REQUEST", describeError(placeNames[place] ?? place, errors as readonly SchemaError[]));
