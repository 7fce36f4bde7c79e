/** ApiVersions: what the hub serves. It is made from the table of handlers, so it cannot promise anything else. */
import { handler, NO_ERROR, wireCode } from "../handler.ts";
import type { Handler, Reply } from "../handler.ts";
import { encodeResponse } from "../compile.ts";
import type { ApiDescription } from "../schema.ts";
import { apiVersionsApi } from "../schemas/cluster.ts";

const NAMES_SOFTWARE_FROM_VERSION = 3;

const rangeOf = ({ key, advertisedFrom, last }: ApiDescription) => ({
  apiKey: key,
  minVersion: advertisedFrom,
  maxVersion: last,
});

export function apiVersions(others: readonly ApiDescription[]): Handler {
  const apiKeys = [...others, apiVersionsApi].map(rangeOf).toSorted((a, b) => a.apiKey - b.apiKey);
  return handler(apiVersionsApi, (_request, { version, peer }) => {
    if (version >= NAMES_SOFTWARE_FROM_VERSION) peer.isIdentified = true;
    return { errorCode: NO_ERROR, apiKeys };
  });
}

/** To a version that is not served, in version 0: the client reads which ones are and asks again (KIP-511). */
export const unsupportedApiVersions: Reply = (writer) =>
  encodeResponse(apiVersionsApi, 0, writer, {
    errorCode: wireCode("UNSUPPORTED_VERSION"),
    apiKeys: [rangeOf(apiVersionsApi)],
  });
