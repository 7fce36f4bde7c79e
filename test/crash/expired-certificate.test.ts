/** The programs with a TLS proxy between them, as hubs are reached: its certificate has expired, and is renewed in time. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import path from "node:path";
import { suite, test } from "node:test";
import { createServer } from "node:tls";
import type { Server } from "node:tls";
import { assertBooksAgree } from "../support/books.ts";
import { onCleanUp } from "../support/clean-up.ts";
import type { After } from "../support/clean-up.ts";
import { assertFlawless, Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { startAgent, startHub } from "../support/programs.ts";
import { tempDir } from "../support/temp-dir.ts";
import { TestAuthority } from "../support/test-certificate.ts";
import type { TestCertificate } from "../support/test-certificate.ts";
import { exactRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const DEADLINE_MS = 30_000;
const waiting = { deadlineMs: DEADLINE_MS } as const;
const DAY_MS = 86_400_000;

async function startTlsProxy(t: After, targetPort: number, certificate: TestCertificate): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer(certificate, (client) => {
    const hub = connect(targetPort, "127.0.0.1");
    for (const [from, to] of [
      [client, hub],
      [hub, client],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onCleanUp(t, async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return server;
}

suite("TLS between the programs", () => {
  test("an expired certificate -> in /status and the log with code and hint; renewed: everything arrives", async (t) => {
    const authority = await TestAuthority.create();
    const now = Date.now();
    const expired = await authority.issue({ fromMs: now - 9 * DAY_MS, toMs: now - DAY_MS });
    const caFile = path.join(tempDir(t), "ca.pem");
    writeFileSync(caFile, authority.cert);
    const hub = await startHub(t);
    const proxy = await startTlsProxy(t, hub.httpPort, expired);
    const uplinkUrl = `wss://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const config = { routes: [exactRoute], uplink: { ...quickUplink, caFile } };
    const agent = await startAgent(t, { hub: { uplinkUrl }, config });
    const topicOf = (clientId: string): string => `exact/${clientId}/value`;
    const load = { name: "x", clients: 5, qos: 2, messagesEach: 100, windowMax: 10, topicOf } as const;
    const fleet = startFleet(t, { ...load, port: agent.mqttPort });
    await fleet.finish(DEADLINE_MS);

    const lastError = async () => (await agent.status()).uplink?.lastError;
    const isTold = async (): Promise<boolean> => (await lastError())?.code === "HUB_NOT_TRUSTED";
    await waitUntil(isTold, { what: "the refusal", ...waiting });
    const { message, hint } = (await lastError()) ?? { message: "", hint: "" };
    assert.match(message, /the hub's certificate has expired \(CERT_HAS_EXPIRED\)/);
    assert.match(hint, /Check the certificate, and this machine's clock/);
    assert.match(agent.process.stderrTail, /"code":"HUB_NOT_TRUSTED".*certificate has expired.*"hint":"Check the cert/);
    assert.deepEqual((await hub.status()).agents, [], "the hub behind it heard nothing");

    proxy.setSecureContext(await authority.issue());
    const isDrained = async (): Promise<boolean> => (await agent.status()).log.pendingRecords === 0;
    await waitUntil(isDrained, { what: "everything to be delivered", ...waiting });
    const checker = new Checker(fleet.histories);
    for (const record of await readAll(t, { address: hub.kafkaAddress, topic: exactRoute.topic })) checker.add(record);
    const verdict = checker.verdict();
    assertFlawless(verdict);
    assert.equal(verdict.recordCount, 500);
    await assertBooksAgree([agent], hub);
  });
});
