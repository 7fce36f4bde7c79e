/**
 * Every bound of the MQTT listener, by name. `mqtt.limits` in the agent's configuration sets them; the log line and the
 * counter of a limit that was reached carry that name.
 *
 * Programs on the gateway itself (loopback) are spared what only protects against the network: the bounds per address,
 * the bound on keep alive (the kernel closes a dead program's connection, so 0 cannot leave one half open), and the
 * rule against subscriptions to everything.
 */
const KIB = 1024;
const MIB = 1024 * KIB;

export const mqttLimitTable = {
  connectionsMax: { default: 2000, meaning: "connections open at a time" },
  connectionsPerAddressMax: { default: 20, meaning: "connections open at a time from one address but loopback" },
  connectsPerAddressPerSecondMax: { default: 10, meaning: "new connections a second from one address but loopback" },
  connectTimeoutMs: { default: 5000, meaning: "time from the connection to a complete CONNECT" },
  connectBytesMax: { default: 4 * KIB, meaning: "size of the CONNECT packet" },
  packetBytesMax: { default: 256 * KIB, meaning: "size of any packet" },
  packetsBeforeConnackMax: { default: 100, meaning: "packets a client may send before it has its CONNACK" },
  clientIdBytesMax: { default: 64, meaning: "length of a client id" },
  keepAliveSecondsMax: { default: 600, meaning: "keep alive of a client that is not on loopback; 0 is refused there" },
  willBytesMax: { default: 4 * KIB, meaning: "payload of a will" },
  topicBytesMax: { default: 512, meaning: "length of a topic name or filter" },
  topicLevelsMax: { default: 16, meaning: "levels of a topic name or filter; at most 100" },
  subscriptionsMax: { default: 50, meaning: "subscriptions of one client" },
  // The agent keeps identifiers here, not messages. Clients that pipeline (MQTT.js does so without a window, for MQTT
  // 3.1.1 has none) put hundreds into one write, and would be cut off each time they try again if this were small.
  incomingPacketsMax: { default: 1000, meaning: "QoS 2 messages of one client between PUBLISH and PUBREL" },
  publishesPerSecondMax: {
    default: 500,
    meaning: "messages a second of one client that is not on loopback, held back",
  },
  drainTimeoutMs: { default: 5000, meaning: "time a subscriber may leave its socket full before it is closed" },
  retainedTopicsMax: { default: 1000, meaning: "retained messages; further topics are published but not retained" },
  retainedBytesMax: { default: 4 * MIB, meaning: "payloads of all retained messages" },
  sessionsMax: { default: 1000, meaning: "persistent sessions with subscriptions" },
  sessionExpiryMs: { default: 24 * 60 * 60 * 1000, meaning: "time offline after which a persistent session ends" },
  outgoingMessagesMax: { default: 1000, meaning: "messages queued for one session; the oldest unsent one goes first" },
  outgoingBytesMax: { default: 8 * MIB, meaning: "payloads queued for one session; the oldest unsent goes first" },
  outgoingTotalBytesMax: {
    default: 64 * MIB,
    meaning: "payloads queued for all sessions; further ones are not queued",
  },
} as const satisfies Record<string, { readonly default: number; readonly meaning: string }>;

export type MqttLimits = { readonly [Name in keyof typeof mqttLimitTable]: number };

export const mqttLimitDefaults = Object.fromEntries(
  Object.entries(mqttLimitTable).map(([name, row]) => [name, row.default]),
) as MqttLimits;

/** Rules without a number that end a connection or refuse a subscription in the same way. */
export const mqttRules = {
  firstPacket: "the first packet is CONNECT",
  remainingLength: "a packet's length is 1 to 4 bytes [MQTT-2.2.3]",
  protocolVersion: "MQTT 5 is not served",
  clientIdCharacters: "a client id is of A-Z a-z 0-9 . _ : -",
  emptyClientId: "an empty client id needs a clean session [MQTT-3.1.3-8]",
  credentials: "user name and password are right, and a client id is taken over with the same user name only",
  topicName: "a topic name is not empty and has neither wildcard nor U+0000 [MQTT-3.3.2-2]",
  systemTopic: "clients do not publish to $SYS",
  wideSubscription: "subscriptions to everything (+ or # in front) and to $SYS are for the gateway itself",
  keepAlive: "the client is heard of within one and a half keep alive periods [MQTT-3.1.2-24]",
  malformedPacket: "packets are well-formed",
} as const;

export type LimitName = keyof typeof mqttLimitTable | keyof typeof mqttRules;
