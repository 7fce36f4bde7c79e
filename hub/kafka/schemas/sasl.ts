/** APIs by which a connection shows whom it speaks for. */
import { array, api, bytes, int16, int64, string } from "../schema.ts";

export const saslHandshakeApi = api({
  key: 17,
  name: "SaslHandshake",
  versions: [0, 1],
  flexibleFrom: Number.POSITIVE_INFINITY,
  request: { mechanism: string },
  response: { errorCode: int16, mechanisms: array(string) },
});

export const saslAuthenticateApi = api({
  key: 36,
  name: "SaslAuthenticate",
  versions: [0, 2],
  flexibleFrom: 2,
  request: { authBytes: bytes },
  response: {
    errorCode: int16,
    errorMessage: string.nullable().or(null),
    authBytes: bytes,
    // 0: the login does not end by itself.
    sessionLifetimeMs: int64.from(1).or(0),
  },
});
