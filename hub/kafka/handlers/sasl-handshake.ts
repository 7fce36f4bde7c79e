/** SaslHandshake: the client chooses a mechanism. A listener without users answers as Kafka's PLAINTEXT ones do. */
import { handler, wireCode } from "../handler.ts";
import { saslHandshakeApi } from "../schemas/sasl.ts";

export const saslHandshake = handler(saslHandshakeApi, ({ mechanism }, { peer, version }) => {
  if (peer.sasl === undefined) return { errorCode: wireCode("ILLEGAL_SASL_STATE"), mechanisms: [] };
  const { error, mechanisms } = peer.sasl.handshake(mechanism, version);
  return { errorCode: wireCode(error), mechanisms };
});
