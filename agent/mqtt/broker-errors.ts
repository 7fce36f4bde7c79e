/** What aedes says when it ends a connection, in the listener's own terms. */
import { StreamError } from "../../shared/errors.ts";
import { mqttLimitTable, mqttRules } from "./limits.ts";
import type { LimitName } from "./limits.ts";

/** The client's connection ends because of this limit. */
export function limitError(limit: LimitName, returnCode?: number): StreamError & { returnCode?: number } {
  const meaning = limit in mqttLimitTable ? mqttLimitTable[limit as keyof typeof mqttLimitTable].meaning : undefined;
  const rule = meaning ?? mqttRules[limit as keyof typeof mqttRules];
  const error: StreamError & { returnCode?: number } = new StreamError("MQTT_LIMIT", `${limit}: ${rule}`, {
    details: { limit },
  });
  if (returnCode !== undefined) error.returnCode = returnCode;
  return error;
}

/** aedes 1.2.0 tells its reasons apart by their texts only; test/integration/agent/mqtt/limits.test.ts reaches each. */
const limitByText: Readonly<Record<string, LimitName>> = {
  "connect did not arrive in time": "connectTimeoutMs",
  "drain timeout": "drainTimeoutMs",
  "topic has too many levels": "topicLevelsMax",
  "Client queue limit reached": "packetsBeforeConnackMax",
  "keep alive timeout": "keepAlive",
  "empty topic not allowed in PUBLISH": "topicName",
  "# is not allowed in PUBLISH": "topicName",
  "+ is not allowed in PUBLISH": "topicName",
};

/** The ends of a connection that are nobody's fault. */
const ordinaryTexts: ReadonlySet<string> = new Set(["connection closed", "Premature close", "aborted"]);

export type ConnectionEnd =
  | { readonly type: "ordinary" }
  | { readonly type: "limit"; readonly limit: LimitName }
  | { readonly type: "refused"; readonly code: string };

export function judgeConnectionError(error: Error): ConnectionEnd {
  if (error instanceof StreamError) {
    if (error.code !== "MQTT_LIMIT") return { type: "refused", code: error.code };
    return { type: "limit", limit: error.details["limit"] as LimitName };
  }
  const limit = limitByText[error.message];
  if (limit !== undefined) return { type: "limit", limit };
  // Errors with a code are the socket's.
  if ("code" in error || ordinaryTexts.has(error.message)) return { type: "ordinary" };
  return { type: "limit", limit: "malformedPacket" };
}
