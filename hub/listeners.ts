/**
 * What a hub listens with, over an engine that takes data or one that is only read.
 *
 *   engine ▶ groups ▶ Kafka listener
 *     └─────────────▶ HTTP listener, which carries the uplink's WebSocket
 */
import packageJson from "../package.json" with { type: "json" };
import type { Clock } from "../shared/clock.ts";
import { formatListenAddress, isLoopbackHost } from "../shared/config/listen-address.ts";
import type { UpgradeHandler } from "../shared/http/http-server.ts";
import type { Lifecycle } from "../shared/lifecycle.ts";
import type { LogIntegrity } from "../shared/log/log-integrity.ts";
import type { Logger } from "../shared/logger.ts";
import { aclAuthorizer } from "./access/acl-authorizer.ts";
import { allowAll } from "./access/authorizer.ts";
import type { Authorizer } from "./access/authorizer.ts";
import { CertificateWatch } from "./access/certificate-watch.ts";
import { HttpLogins } from "./access/http-logins.ts";
import { UserDirectory } from "./access/user-directory.ts";
import { usersOf } from "./access/users-config.ts";
import type { HubConfig } from "./config.ts";
import type { Engine } from "./engine/engine.ts";
import { GroupCoordinator } from "./group/coordinator-runner.ts";
import { systemTimers } from "./group/deadline-timers.ts";
import { HubHttpServer } from "./http/server.ts";
import type { StatusSources } from "./http/status.ts";
import { KafkaListener } from "./kafka/listener.ts";

export type ListenerParts = Pick<StatusSources, "agents" | "failure"> & {
  readonly config: HubConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly integrity: () => LogIntegrity;
  readonly onUplink: UpgradeHandler;
  readonly closeUplink: () => Promise<void>;
};

/** HOST:PORT as really bound. @throws StreamError PORT_IN_USE, CERTIFICATE_INVALID, … */
export async function startListeners(
  lifecycle: Lifecycle,
  { config, logger, clock, engine, agents, integrity, failure, onUplink, closeUplink }: ListenerParts,
): Promise<{ readonly http: string; readonly kafka: string }> {
  const groups = await lifecycle.start({
    name: "the consumer groups",
    start: () => openGroups(config, engine, { logger, clock }),
    stop: (part) => part.close(),
  });
  const certificate = await lifecycle.start({
    name: "the TLS certificate",
    start: () => openCertificate(config, { logger, clock }),
    stop: (part) => part?.close(),
  });
  const access = accessOf(config);
  const kafka = new KafkaListener({
    ...{ engine, groups, clock, logger, certificate },
    ...access,
    options: kafkaOptions(config),
  });
  const addresses = { http: "", kafka: "" };
  const http = new HubHttpServer({
    version: packageJson.version,
    clock,
    logger,
    engine,
    integrity,
    groups,
    kafka,
    agents,
    addresses: () => addresses,
    failure,
    onUplink,
    api: { ...{ engine, groups }, ...apiAccess(config, access, clock), rules: kafkaOptions(config) },
    options: config.http.listen,
  });
  await lifecycle.start({
    name: "the Kafka listener",
    start: async () => (addresses.kafka = formatListenAddress(await kafka.start())),
    stop: () => kafka.close(),
  });
  await lifecycle.start({
    name: "the HTTP listener",
    start: async () => (addresses.http = formatListenAddress(await http.start())),
    // The agents' connections are this listener's own: it cannot end before they do.
    stop: async () => void (await Promise.all([http.close(), closeUplink()])),
  });
  warnOfPlainText(config, logger);
  return addresses;
}

type Parts = Pick<ListenerParts, "logger" | "clock">;

function openGroups(config: HubConfig, engine: Engine, { logger, clock }: Parts): Promise<GroupCoordinator> {
  const { countMax, ...options } = config.groups;
  return GroupCoordinator.open({
    engine,
    clock,
    timers: systemTimers,
    logger,
    options: { ...options, groupsMax: countMax },
  });
}

/** @throws StreamError CERTIFICATE_INVALID. */
async function openCertificate({ kafka }: HubConfig, { logger, clock }: Parts): Promise<CertificateWatch | undefined> {
  return kafka.tls === undefined ? undefined : CertificateWatch.open({ files: kafka.tls, logger, clock });
}

/** Without users everybody who reaches the listener may do everything. */
function accessOf(config: HubConfig): { readonly users?: UserDirectory; readonly authorizer?: Authorizer } {
  const users = usersOf(config.users);
  return users.length === 0 ? {} : { users: new UserDirectory(users), authorizer: aclAuthorizer(users) };
}

function apiAccess({ kafka }: HubConfig, { users, authorizer = allowAll }: ReturnType<typeof accessOf>, clock: Clock) {
  const { loginFailuresPerMinuteMax: failuresPerMinuteMax } = kafka;
  return { authorizer, logins: new HttpLogins({ users, clock, failuresPerMinuteMax }) };
}

/** What is allowed, but may not be what was meant. */
function warnOfPlainText({ kafka, users }: HubConfig, logger: Logger): void {
  if (kafka.tls !== undefined || users.length === 0 || isLoopbackHost(kafka.listen.host)) return;
  logger.warn(
    { listen: formatListenAddress(kafka.listen) },
    "the Kafka listener has users but no TLS: SCRAM protects the passwords, but whoever can listen in reads the data; " +
      "PLAIN is not offered; set kafka.tls",
  );
}

function kafkaOptions(config: HubConfig) {
  const { listen, advertised, insecure: _insecure, tls: _tls, ...limits } = config.kafka;
  const { partitions, autoCreate, partitionsMax, retentionMs, retentionBytes } = config.topics;
  return {
    ...limits,
    ...listen,
    advertisedHost: advertised?.host,
    advertisedPort: advertised?.port,
    autoCreateTopics: autoCreate,
    partitionCountDefault: partitions,
    partitionCountMax: partitionsMax,
    dataDirectory: config.data.dir,
    topicDefaults: {
      "retention.ms": String(retentionMs ?? -1),
      "retention.bytes": String(retentionBytes ?? -1),
    },
  };
}
