/** Which CONNECT, topic and subscription is let in. Pure. */
import type { LimitName, MqttLimits } from "./limits.ts";

export type ConnectRequest = {
  readonly clientId: string;
  readonly clean?: boolean;
  readonly keepalive?: number;
  readonly will?: { readonly topic: string; readonly payload?: { readonly length: number } | null } | undefined;
};

export type ConnectRefusal = {
  readonly limit: LimitName;
  /** CONNACK's return code; without one that fits, the connection is closed without CONNACK [MQTT-3.2.2-6]. */
  readonly returnCode: 2 | undefined;
};

/** "Identifier rejected". */
const IDENTIFIER_REJECTED = 2;
const CLIENT_ID = /^[A-Za-z0-9._:-]+$/;

export function judgeConnect(
  request: ConnectRequest,
  limits: MqttLimits,
  isLoopback: boolean,
): ConnectRefusal | undefined {
  const { clientId, clean, keepalive = 0, will } = request;
  if (clientId === "") {
    if (clean !== true) return { limit: "emptyClientId", returnCode: IDENTIFIER_REJECTED };
  } else if (Buffer.byteLength(clientId) > limits.clientIdBytesMax) {
    return { limit: "clientIdBytesMax", returnCode: IDENTIFIER_REJECTED };
  } else if (!CLIENT_ID.test(clientId)) {
    return { limit: "clientIdCharacters", returnCode: IDENTIFIER_REJECTED };
  }
  if (!isLoopback && (keepalive === 0 || keepalive > limits.keepAliveSecondsMax)) {
    return { limit: "keepAliveSecondsMax", returnCode: undefined };
  }
  if (will === undefined) return undefined;
  const topicLimit = judgeWillTopic(will.topic, limits);
  if (topicLimit !== undefined) return { limit: topicLimit, returnCode: undefined };
  if ((will.payload?.length ?? 0) > limits.willBytesMax) return { limit: "willBytesMax", returnCode: undefined };
  return undefined;
}

/** What aedes leaves open about the topic of a PUBLISH; on the path of every message. */
export function judgeTopicName(topic: string, limits: MqttLimits): LimitName | undefined {
  if (isLongerThan(topic, limits.topicBytesMax)) return "topicBytesMax";
  if (topic.charCodeAt(0) === DOLLAR && isSystemTopic(topic)) return "systemTopic";
  if (topic.includes("\0")) return "topicName";
  return undefined;
}

/** Whether neither aedes nor we refuse a message for its topic. */
export function isTopicPlain(topic: string, limits: MqttLimits): boolean {
  if (topic === "" || topic.includes("#") || topic.includes("+")) return false;
  return topic.split("/").length <= limits.topicLevelsMax && judgeTopicName(topic, limits) === undefined;
}

/** aedes publishes a will as it is, so everything about its topic is asked here. */
function judgeWillTopic(topic: string, limits: MqttLimits): LimitName | undefined {
  if (topic === "" || topic.includes("#") || topic.includes("+")) return "topicName";
  if (topic.split("/").length > limits.topicLevelsMax) return "topicLevelsMax";
  return judgeTopicName(topic, limits);
}

export type SubscriptionRequest = {
  readonly topic: string;
  /** Subscriptions the client has, this one left out. */
  readonly count: number;
  readonly isWideAllowed: boolean;
};

export function judgeSubscription(request: SubscriptionRequest, limits: MqttLimits): LimitName | undefined {
  const { topic, count, isWideAllowed } = request;
  if (isLongerThan(topic, limits.topicBytesMax)) return "topicBytesMax";
  if (topic.includes("\0")) return "topicName";
  if (!isWideAllowed && (topic.startsWith("#") || topic.startsWith("+") || isSystemTopic(topic))) {
    return "wideSubscription";
  }
  if (count >= limits.subscriptionsMax) return "subscriptionsMax";
  return undefined;
}

const DOLLAR = 0x24;
const SYSTEM_PREFIX = "$SYS";

function isSystemTopic(topic: string): boolean {
  return topic === SYSTEM_PREFIX || topic.startsWith(`${SYSTEM_PREFIX}/`);
}

/** A character of a string takes at most 3 bytes, so most topics need no look at each of theirs. */
function isLongerThan(topic: string, bytesMax: number): boolean {
  return topic.length * 3 > bytesMax && Buffer.byteLength(topic) > bytesMax;
}
