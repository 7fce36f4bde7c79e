/**
 * JSON that keeps its numbers: those that a double cannot hold, such as ids of 19 digits, stay what they were when the value
 * is written again. Everything else is what JSON.parse makes of it.
 * Source: the proposal "JSON.parse source text access" (JSON.rawJSON, and the reviver's `context`).
 */

/** Fewer digits always fit. */
const LONG_NUMBER = /\d{16}/;

/** Not yet in TypeScript's library. */
type WithSource = {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
};

/** @throws SyntaxError. */
export function parseExact(text: string): unknown {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text);
  const json = JSON as unknown as WithSource;
  return json.parse(text, (_key, value, { source }) => {
    if (typeof value !== "number" || source === undefined || isSame(value, source)) return value;
    return json.rawJSON(source);
  });
}

/** Whether writing the value again gives the number that the source says. */
function isSame(value: number, source: string): boolean {
  if (Number.isInteger(value) && Math.abs(value) > Number.MAX_SAFE_INTEGER) return String(value) === source;
  return !LONG_NUMBER.test(source) || String(value) === source;
}
