/**
 * Request header: api key, version, correlation id; version 1 adds the client id, version 2 tagged fields.
 * Response header: correlation id; version 1 adds tagged fields.
 *
 * Flexible requests have header version 2, in which the client id is not compact all the same. Flexible responses have
 * header version 1, except those of ApiVersions: a client must be able to read them before it knows any version.
 */
import { isFlexible } from "./compile.ts";
import type { ApiDescription } from "./schema.ts";
import type { WireReader } from "./wire-reader.ts";
import type { WireWriter } from "./wire-writer.ts";

const API_VERSIONS_KEY = 18;

export type RequestStart = { readonly apiKey: number; readonly version: number; readonly correlationId: number };

/** What stands at the front of every request, whatever it is. */
export function readRequestStart(reader: WireReader): RequestStart {
  return { apiKey: reader.int16(), version: reader.int16(), correlationId: reader.int32() };
}

/** The rest of the header. Returns the client id. */
export function readClientId(reader: WireReader, api: ApiDescription, version: number): string {
  const clientId = reader.string(false) ?? "";
  if (isFlexible(api, version)) reader.tags();
  return clientId;
}

export function writeResponseHeader(
  writer: WireWriter,
  response: { readonly api: ApiDescription; readonly version: number; readonly correlationId: number },
): void {
  writer.int32(response.correlationId);
  if (response.api.key !== API_VERSIONS_KEY && isFlexible(response.api, response.version)) writer.uvarint(0);
}
