/** SaslAuthenticate: one token of a login, and the hub's reply to it. */
import { handler, NO_ERROR, wireCode } from "../handler.ts";
import { saslAuthenticateApi } from "../schemas/sasl.ts";

const NOTHING = Buffer.alloc(0);

export const saslAuthenticate = handler(saslAuthenticateApi, async ({ authBytes }, { peer }) => {
  if (peer.sasl === undefined) {
    const errorMessage = "ILLEGAL_SASL_STATE: the hub has no users; set the client up without SASL";
    return { errorCode: wireCode("ILLEGAL_SASL_STATE"), errorMessage, authBytes: NOTHING };
  }
  const answer = await peer.sasl.authenticate(authBytes);
  if (answer.error === null) return { errorCode: NO_ERROR, authBytes: answer.reply };
  return { errorCode: wireCode(answer.error), errorMessage: answer.message, authBytes: NOTHING };
});
