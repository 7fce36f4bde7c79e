/**
 * The agent's configuration: every key with its unit in the name, its default, its bounds and what it is for.
 * docs/configuration.md is generated from here; the routes' own rules are in ingest/route.ts.
 */
import { hostname } from "node:os";
import * as z from "zod";
import type { LoadedConfig, ConfigSources } from "../shared/config/load-config.ts";
import { loadConfig } from "../shared/config/load-config.ts";
import type { ConfigMeta } from "../shared/config/config-rows.ts";
import {
  GIB,
  INSECURE_DESCRIPTION,
  KIB,
  MIB,
  MINUTE_MS,
  SECOND_MS,
  checkProtection,
  flag,
  listenAddress,
  logLevel,
  optionalAddress,
  secret,
  secretFile,
  text,
  limitOrNone,
  wholeNumber,
} from "../shared/config/fields.ts";
import { agentFlags } from "./config-flags.ts";
import { UPLINK_BATCH_BYTES_MAX } from "../shared/uplink/frames.ts";
import { defaultIngestLimits } from "./ingest/ingest-limits.ts";
import { overflowPolicies } from "./ingest/overflow.ts";
import { DEFAULT_PARTITION_COUNT, PARTITION_COUNT_MAX, compileRoutes } from "./ingest/route.ts";
import { catchUps } from "./uplink/lane.ts";
import { mqttLimitTable } from "./mqtt/limits.ts";
import { defaultUplinkOptions as uplinkDefaults } from "./uplink/uplink-runner.ts";

const described = (description: string, rest: Partial<ConfigMeta> = {}): ConfigMeta => ({ description, ...rest });

const agent = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/)
    .optional()
    .transform((name) => name ?? hostname())
    .meta(
      described("What the hub and people call this agent. Its identity is in its data, so it may be renamed.", {
        allowed: "1 to 64 of A-Z a-z 0-9 . _ -",
        defaultText: "the machine's host name",
      }),
    ),
});

const data = z.strictObject({
  dir: text("data/agent", "Directory of the log. One agent at a time may use it; it has to survive a reboot."),
});

/** Levels of a topic that its subscribers can address; deeper ones cost time for each message. */
const TOPIC_LEVELS_MAX = 100;

const sentence = (words: string): string => `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;

const limitShape = Object.fromEntries(
  Object.entries(mqttLimitTable).map(([name, row]) => {
    const max = name === "topicLevelsMax" ? TOPIC_LEVELS_MAX : Number.MAX_SAFE_INTEGER;
    return [name, wholeNumber({ min: 1, max, default: row.default }, sentence(row.meaning))];
  }),
) as Record<keyof typeof mqttLimitTable, ReturnType<typeof wholeNumber>>;

const MQTT_PROTECTION = "set mqtt.insecure: true if the network is trusted, or listen on 127.0.0.1";

const mqtt = z
  .strictObject({
    listen: listenAddress("127.0.0.1:1883", "Where MQTT 3.1.1 clients connect over TCP."),
    webSocketListen: optionalAddress("Where MQTT clients connect over WebSocket; without it, nowhere."),
    allowedOrigins: z
      .array(z.string().min(1))
      .default([])
      .meta(described("Origins of web pages that may connect over WebSocket, such as https://panel.example.")),
    insecure: flag(false, INSECURE_DESCRIPTION),
    limits: z.strictObject(limitShape).prefault({}),
  })
  .superRefine(({ listen, webSocketListen, insecure }, context) => {
    checkProtection(context, { key: "listen", address: listen, insecure, missing: MQTT_PROTECTION });
    checkProtection(context, { key: "webSocketListen", address: webSocketListen, insecure, missing: MQTT_PROTECTION });
  });

const bridge = z
  .strictObject({
    url: z
      .url({ protocol: /^(mqtts?|wss?)$/ })
      .optional()
      .meta(
        described("A broker that runs already: the agent subscribes there and acknowledges what it has stored.", {
          allowed: "an address such as mqtt://127.0.0.1:1884; mqtts, ws and wss work too",
        }),
      ),
    topics: z
      .array(z.string().min(1))
      .default(["#"])
      .meta(described("Topic filters to subscribe to at that broker, with QoS 1.")),
    clientId: z
      .string()
      .regex(/^[A-Za-z0-9._:-]{1,64}$/)
      .optional()
      .meta(
        described("Client id at that broker, which keeps the session under it. No two bridges may share one.", {
          allowed: "1 to 64 of A-Z a-z 0-9 . _ : -",
          defaultText: "tributary- and the agent's name",
        }),
      ),
    username: z.string().min(1).optional().meta(described("User name at that broker.")),
    password: secret("Password at that broker."),
    passwordFile: secretFile("bridge.password"),
  })
  .superRefine(({ username, password, passwordFile }, context) => {
    if (username !== undefined || (password === undefined && passwordFile === undefined)) return;
    // [MQTT-3.1.2-22]: without a user name there is no password.
    context.addIssue({ code: "custom", path: ["password"], message: "is set, but bridge.username is not" });
  });

const routeFields = z.strictObject({
  match: z.string().meta(described("MQTT topic filter with captures: `sensors/{site}/{device}/temp`, `plant/+/#`.")),
  topic: z.string().meta(described("Topic the messages go to; `{site}` is filled in.")),
  key: z
    .string()
    .optional()
    .meta(described("Key of the records, which decides the partition and keeps the order. Without it: in turn.")),
  headers: z
    .record(z.string(), z.string())
    .optional()
    .meta(described("Headers of the records. `mqtt.topic`, `mqtt.qos` and `mqtt.retain` are always there.")),
  partitions: z
    .int()
    .min(1)
    .max(PARTITION_COUNT_MAX)
    .optional()
    .meta(
      described("Partitions of the topic, if it does not exist at the hub yet.", {
        defaultText: String(DEFAULT_PARTITION_COUNT),
      }),
    ),
  acks: z
    .enum(["none", "leader", "all"])
    .optional()
    .meta(
      described("When the hub has a record: `none` once it is sent, `leader` once stored, `all` once flushed.", {
        defaultText: "all",
      }),
    ),
  catchUp: z
    .enum(catchUps)
    .optional()
    .meta(
      described(
        "After an outage: `in-order` sends what waits first; `live-first` sends new records at once, and what had " +
          "gathered behind them, with the header `historical`, in an order of its own.",
        { defaultText: "in-order" },
      ),
    ),
  durability: z
    .enum(["fsync", "os"])
    .optional()
    .meta(
      described("Before the PUBACK: `fsync` survives a power cut; `os` is faster and survives a killed process only.", {
        defaultText: "fsync",
      }),
    ),
  overflow: z
    .enum(overflowPolicies)
    .optional()
    .meta(described("What gives way when the log is at its cap.", { defaultText: "drop-oldest" })),
  priority: z
    .int()
    .optional()
    .meta(described("Topics of lower priority make room first when the log is at its cap.", { defaultText: "0" })),
});

/** Each route by itself, so that a mistake in one does not hide what is wrong with another. */
const route = routeFields.superRefine((fields, context) => {
  for (const problem of compileRoutes([fields]).problems) {
    const { path, message } = routeProblem(problem);
    // An unsound route ends the check of the list, which would find it again.
    context.addIssue({ code: "custom", path: path.slice(1), message, continue: false });
  }
});

const routes = z
  .array(route)
  .default([])
  .superRefine((list, context) => {
    // Each route is sound by itself here; what is left is how they go together.
    for (const problem of compileRoutes(list).problems) {
      const { path, message } = routeProblem(problem);
      context.addIssue({ code: "custom", path, message });
    }
  })
  .meta(
    described(
      "The first route whose `match` fits takes a message; what none takes goes to topic `mqtt`, by MQTT topic.",
    ),
  );

/** "routes[2].topic: must not be empty" as a path within the list and a text. */
function routeProblem(problem: string): { path: (string | number)[]; message: string } {
  const match = /^routes\[(\d+)\](?:\.([A-Za-z]+))?(?:\.([^:]+))?:? (.*)$/s.exec(problem);
  if (match === null) return { path: [], message: problem };
  const [, index, key, name, message = problem] = match;
  const path = [Number(index), key, name].filter((each) => each !== undefined);
  return { path, message };
}

/** Below this a cap leaves no room for what one commit gathers. */
const LOG_BYTES_MIN = 1_000_000;

/** Enough for a system to go on with its own logs and updates. */
const DISK_FREE_BYTES_MIN = 64 * 1024 * 1024;

const log = z.strictObject({
  bytesMax: wholeNumber(
    { min: LOG_BYTES_MIN, default: GIB },
    "Cap of what the log takes on the disk, all files together. At 100 B a message and 2,000/s, 1 GiB lasts for more " +
      "than an hour without the hub.",
  ),
  freeBytesMin: wholeNumber(
    { min: 0, default: DISK_FREE_BYTES_MIN },
    "While less than this is free on the file system, the log does not grow, whatever its cap.",
  ),
  ageMsMax: limitOrNone(
    { min: MINUTE_MS, default: -1 },
    "Records that the hub did not get within this time are dropped and declared lost (`expired`). The age is the time " +
      "that the agent has run, not that of any clock.",
  ),
  commitIntervalMs: wholeNumber(
    { max: MINUTE_MS, default: 0 },
    "Commits start at least this far apart, to spare SD cards; PUBACKs wait that long. 0: as fast as the disk flushes.",
  ),
  lingerMs: wholeNumber(
    { max: SECOND_MS, default: 4 },
    "While hundreds of messages come in a second, a commit waits up to so long for more of them, so that a flush carries " +
      "many. Publishers that wait for each PUBACK are not held back. 0: never.",
  ),
});

const ingest = z.strictObject({
  recordBytesMax: wholeNumber(
    { min: KIB, max: MIB, default: defaultIngestLimits.recordBytesMax },
    "Largest record: key, payload and headers.",
  ),
  uncommittedBytesMax: wholeNumber(
    { min: MIB, default: defaultIngestLimits.uncommittedBytesMax },
    "Memory for messages gathered or on their way to the disk; beyond it, publishers are held back.",
  ),
  uncommittedMessagesMax: wholeNumber(
    { min: 1, default: defaultIngestLimits.uncommittedMessagesMax },
    "Messages gathered or on their way to the disk; beyond it, publishers are held back.",
  ),
  waitingBytesMax: wholeNumber(
    { min: 0, default: defaultIngestLimits.waitingBytesMax },
    "Memory for messages that a full log or a new topic holds back; beyond it, they are refused.",
  ),
  waitingMessagesMax: wholeNumber(
    { min: 0, default: defaultIngestLimits.waitingMessagesMax },
    "Messages that a full log or a new topic holds back; beyond it, they are refused.",
  ),
});

const authorities = z
  .string()
  .min(1)
  .optional()
  .meta(
    described(
      "PEM file with the authorities that the certificate of a wss:// hub may come from, instead of the system's; " +
        "read again at every attempt to connect.",
    ),
  );

const uplink = z.strictObject({
  hub: z
    .url({ protocol: /^wss?$/ })
    .optional()
    .meta(
      described("The hub. Without it the agent stores and forwards nothing.", {
        allowed: "an address such as ws://hub.example:7070 or wss://hub.example",
      }),
    ),
  token: secret("What the hub asks for (its `uplink.token`)."),
  tokenFile: secretFile("uplink.token"),
  caFile: authorities,
  batchBytesMax: wholeNumber(
    { min: KIB, max: UPLINK_BATCH_BYTES_MAX, default: uplinkDefaults.batchBytesMax },
    "Stored batches are joined up to this size before they are sent.",
  ),
  inFlightBytesMax: wholeNumber(
    { min: 64 * KIB, default: uplinkDefaults.inFlightBytesMax },
    "Batches sent that the hub has not answered; the hub may allow fewer.",
  ),
  historyPercent: wholeNumber(
    { min: 1, max: 90, default: uplinkDefaults.historyPercent },
    "Of what is sent while new records wait too, the share of records that an outage has gathered on routes that are " +
      "`live-first`, in per cent. Otherwise they have the whole link.",
  ),
  connectTimeoutMs: wholeNumber(
    { min: SECOND_MS, max: 5 * MINUTE_MS, default: uplinkDefaults.connectTimeoutMs },
    "Time for name look-up, connection, TLS and the hub's welcome together.",
  ),
  retryMinMs: wholeNumber(
    { min: 10, max: MINUTE_MS, default: uplinkDefaults.retryMinMs },
    "First wait before the next attempt to connect; it doubles from there, each time a random part of it (full jitter). " +
      "It does not double while nothing listens at the hub's address or no way leads there: then it is 1 % of the time " +
      "that has lasted, if that is more.",
  ),
  retryMaxMs: wholeNumber(
    { min: 100, max: 60 * MINUTE_MS, default: uplinkDefaults.retryMaxMs },
    "Longest wait between two attempts to connect. The agent never gives up.",
  ),
  silenceMsMax: wholeNumber(
    { min: SECOND_MS, max: 10 * MINUTE_MS, default: uplinkDefaults.silenceMsMax },
    "A connection from which nothing was heard for so long is closed; the agent asks for a sign of life in between.",
  ),
  statusIntervalMs: wholeNumber(
    { min: SECOND_MS, max: 60 * MINUTE_MS, default: uplinkDefaults.statusIntervalMs },
    "How often the agent tells the hub how it is.",
  ),
});

const ADMIN_PROTECTION = "set admin.insecure: true if the network is trusted, or listen on 127.0.0.1";

const admin = z
  .strictObject({
    listen: listenAddress("127.0.0.1:7071", "Where /healthz, /status and /metrics are served."),
    insecure: flag(false, INSECURE_DESCRIPTION),
  })
  .superRefine(({ listen, insecure }, context) => {
    checkProtection(context, { key: "listen", address: listen, insecure, missing: ADMIN_PROTECTION });
  });

export const agentSchema = z
  .strictObject({
    agent: agent.prefault({}),
    data: data.prefault({}),
    mqtt: mqtt.prefault({}),
    bridge: bridge.prefault({}),
    routes,
    log: log.prefault({}),
    ingest: ingest.prefault({}),
    uplink: uplink.prefault({}),
    admin: admin.prefault({}),
    logLevel: logLevel(),
  })
  .superRefine(({ uplink: { hub, caFile } }, context) => {
    if (caFile === undefined || (hub !== undefined && new URL(hub).protocol === "wss:")) return;
    const message = "is of no use without a hub at a wss:// address (uplink.hub)";
    context.addIssue({ code: "custom", path: ["uplink", "caFile"], message });
  })
  .superRefine(({ uplink: { retryMinMs, retryMaxMs } }, context) => {
    if (retryMinMs <= retryMaxMs) return;
    const message = `found ${retryMaxMs}, which is below uplink.retryMinMs (${retryMinMs})`;
    context.addIssue({ code: "custom", path: ["uplink", "retryMaxMs"], message });
  });

export type AgentConfig = z.output<typeof agentSchema>;

/** @throws StreamError CONFIG_INVALID or LISTENER_NOT_PROTECTED, with every mistake in its message. */
export function loadAgentConfig(sources: ConfigSources): LoadedConfig<AgentConfig> {
  return loadConfig({ program: "agent", schema: agentSchema, flags: agentFlags }, sources);
}
