/** aedes-persistence's own abstract tests, run over the agent's persistence. */
import { createRequire } from "node:module";
import path from "node:path";
import { after, test } from "node:test";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import { IncomingWindow } from "../../agent/mqtt/incoming-window.ts";
import { LimitLog } from "../../agent/mqtt/limit-log.ts";
import { mqttLimitDefaults } from "../../agent/mqtt/limits.ts";
import { SessionPersistence } from "../../agent/mqtt/persistence.ts";
import type { SessionClient, SessionPacket } from "../../agent/mqtt/session-packets.ts";
import { sessionExtension } from "../../agent/mqtt/session-tables.ts";
import { systemClock } from "../../shared/clock.ts";
import { silentLogger } from "../../shared/logger.ts";
import { DirectExtensionLog } from "../support/direct-extension-log.ts";

type AbstractSuite = (options: {
  test: typeof test;
  persistence: () => Promise<SessionPersistence>;
  testAsync: boolean;
}) => void;

/**
 * One test of the suite wants the stored packet back from `incomingGetPacket`. aedes asks only whether it is there, and
 * the agent keeps identifiers, not contents: a client that never releases would else hold megabytes. So the suite, and
 * only the suite, gets a persistence that remembers the contents as well.
 */
class PersistenceWithContents extends SessionPersistence {
  readonly #contents = new Map<string, SessionPacket>();

  override async incomingStorePacket(client: SessionClient, packet: SessionPacket): Promise<void> {
    await super.incomingStorePacket(client, packet);
    this.#contents.set(`${client.id} ${packet.messageId}`, { ...packet });
  }

  override async incomingGetPacket(client: SessionClient, packet: SessionPacket): Promise<SessionPacket> {
    await super.incomingGetPacket(client, packet);
    const { length: _length, ...content } = this.#contents.get(`${client.id} ${packet.messageId}`) as SessionPacket & {
      length?: number;
    };
    return content;
  }
}

const directory = mkdtempSync(path.join(os.tmpdir(), "tributary-test-"));
const logs: DirectExtensionLog[] = [];
after(async () => {
  for (const log of logs) await log.close();
  rmSync(directory, { recursive: true, force: true });
});

const abstractSuite = createRequire(import.meta.url)("aedes-persistence/abstract.js") as AbstractSuite;
abstractSuite({
  test,
  testAsync: true,
  persistence: async () => {
    const log = new DirectExtensionLog(path.join(directory, `${logs.length}.db`), [sessionExtension]);
    logs.push(log);
    const logger = silentLogger();
    const limitLog = new LimitLog(mqttLimitDefaults, logger, systemClock);
    const packets = { release: async () => undefined, releaseAll: async () => undefined, ids: () => [] };
    const window = new IncomingWindow(packets, mqttLimitDefaults.incomingPacketsMax, limitLog);
    return new PersistenceWithContents({ log, window, limits: mqttLimitDefaults, limitLog, logger });
  },
});
