/** Everything that can be wrong with the TLS of a hub: told with code and hint, nothing lost, and over by itself. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import path from "node:path";
import test from "node:test";
import type { TestContext } from "node:test";
import type { Uplink } from "../../../agent/uplink/uplink-runner.ts";
import { silentLogger } from "../../../shared/logger.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { TestAuthority, testCertificate } from "../../support/test-certificate.ts";
import type { TestCertificate } from "../../support/test-certificate.ts";
import { startUplinkAgent, startUplinkHub, storedNumbers, untilStored } from "../../support/uplink-pair.ts";
import { VirtualLog } from "../../support/virtual-log.ts";
import { waitUntil } from "../../support/wait-until.ts";

const TOPIC = "readings";
const HOUR_MS = 3_600_000;
const waiting = { deadlineMs: 10_000 } as const;

const authority = await TestAuthority.create("company");
const stranger = await TestAuthority.create("stranger");
const namesake = await TestAuthority.create("company");
const good = await authority.issue();

type Listened = { readonly uplink: Uplink; readonly told: readonly Told[] };
type Told = { readonly code?: string; readonly reason?: string; readonly hint?: string };

/** An agent with a record to forward, that trusts the authority and tells what it logs. */
async function startAgent(t: TestContext, port: number, pem = authority.cert) {
  const caFile = path.join(tempDir(t), "ca.pem");
  writeFileSync(caFile, pem);
  const log = new VirtualLog();
  log.createTopic(TOPIC, 1);
  log.append(log.partition(TOPIC, 0), [1]);
  const told: Told[] = [];
  const logger = silentLogger();
  logger.warn = (fields: unknown) => void told.push(fields as Told);
  const options = { connectTimeoutMs: 1_000, retryMinMs: 10, retryMaxMs: 50 };
  const parts = { log, logger, caFile, hubUrl: `wss://127.0.0.1:${port}`, options };
  const uplink = await startUplinkAgent(t, port, parts);
  return { uplink, told, caFile };
}

/** Waits for the complaint, and looks whether the log says what the status says. */
async function untilRefused({ uplink, told }: Listened, code: string, reason: RegExp, hint: RegExp) {
  const last = () => uplink.status().lastError;
  const isTold = (): boolean => last()?.code === code && reason.test(last()?.message ?? "");
  await waitUntil(isTold, { what: `${code}: ${reason}`, ...waiting, describe: () => JSON.stringify(last()) });
  assert.match(last()?.hint ?? "", hint);
  const logged = told.find((each) => each.code === code && reason.test(each.reason ?? ""));
  assert.match(logged?.hint ?? "", hint);
  assert.equal(uplink.status().isConnected, false);
}

const days = (count: number): number => Date.now() + count * 24 * HOUR_MS;
const elsewhere = [{ type: "dns", value: "hub.example" }] as const;

const certificates: {
  readonly name: string;
  readonly make: () => Promise<TestCertificate>;
  readonly reason: RegExp;
  readonly hint: RegExp;
}[] = [
  {
    name: "an expired certificate",
    make: () => authority.issue({ fromMs: days(-9), toMs: days(-1) }),
    reason: /has expired \(CERT_HAS_EXPIRED\)/,
    hint: /clock/,
  },
  {
    name: "a certificate that is not valid yet",
    make: () => authority.issue({ fromMs: days(1), toMs: days(9) }),
    reason: /not valid yet/,
    hint: /clock/,
  },
  {
    name: "a certificate for another host",
    make: () => authority.issue({ names: elsewhere }),
    reason: /for another name/,
    hint: /uplink\.hub/,
  },
  {
    name: "a certificate of an authority nobody knows",
    make: () => stranger.issue(),
    reason: /unknown authority/,
    hint: /uplink\.caFile/,
  },
  {
    name: "a certificate of another authority with the same name",
    make: () => namesake.issue(),
    reason: /unknown authority/,
    hint: /uplink\.caFile/,
  },
  { name: "a self-signed certificate", make: () => testCertificate(), reason: /self-signed/, hint: /uplink\.caFile/ },
];

for (const { name, make, reason, hint } of certificates) {
  test(`uplink over TLS: ${name} -> told, kept, and sent when the certificate is right`, async (t) => {
    const hub = await startUplinkHub(t, { certificate: await make() });
    const agent = await startAgent(t, hub.port);
    await untilRefused(agent, "HUB_NOT_TRUSTED", reason, hint);
    assert.equal(hub.server.agents().length, 0, "nothing was said to it");
    hub.useCertificate(good);
    await untilStored(hub.engine, TOPIC, 0, 1);
    assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), [1]);
  });
}

test("uplink over TLS: without caFile the system's authorities count, and a private one is refused", async (t) => {
  const hub = await startUplinkHub(t, { certificate: good });
  const log = new VirtualLog();
  const uplink = await startUplinkAgent(t, hub.port, { log, hubUrl: `wss://127.0.0.1:${hub.port}` });
  const code = (): string | undefined => uplink.status().lastError?.code;
  await waitUntil(() => code() === "HUB_NOT_TRUSTED", { what: "a refusal", ...waiting });
});

test("uplink over TLS: plain HTTP at the port -> told; a hub with TLS there gets everything", async (t) => {
  const plain = await startUplinkHub(t);
  const agent = await startAgent(t, plain.port);
  await untilRefused(agent, "HUB_UNREACHABLE", /TLS failed/, /ws:\/\/ .* wss:\/\//);
  await plain.stop();
  const hub = await startUplinkHub(t, { port: plain.port, certificate: good });
  await untilStored(hub.engine, TOPIC, 0, 1);
});

test("uplink over TLS: a TLS port and a ws:// address -> told", async (t) => {
  const hub = await startUplinkHub(t, { certificate: good });
  const uplink = await startUplinkAgent(t, hub.port, { log: new VirtualLog() });
  await waitUntil(() => uplink.status().lastError ?? false, { what: "a refusal", ...waiting });
  assert.equal(uplink.status().lastError?.code, "HUB_UNREACHABLE");
  assert.match(uplink.status().lastError?.hint ?? "", /wss:\/\//);
});

/** Accepts connections, and then nothing, or the end. */
async function startSilent(t: TestContext, onConnection: (socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  onCleanUp(t, stop);
  return { port: (server.address() as AddressInfo).port, stop };
}

const handshakes: { readonly name: string; readonly act: (socket: Socket) => void; readonly reason: RegExp }[] = [
  { name: "stalls", act: (socket) => socket.resume(), reason: /the TLS handshake did not end within/ },
  { name: "is cut off", act: (socket) => socket.once("data", () => socket.end()), reason: /connection was reset/ },
  { name: "is answered with nonsense", act: (socket) => void socket.write("220 mail\r\n"), reason: /TLS failed/ },
];

for (const { name, act, reason } of handshakes) {
  test(`uplink over TLS: a handshake that ${name} -> told, and sent once somebody answers`, async (t) => {
    const silent = await startSilent(t, act);
    const agent = await startAgent(t, silent.port);
    const code = name === "stalls" ? "TIMEOUT" : "HUB_UNREACHABLE";
    await untilRefused(agent, code, reason, /./);
    await silent.stop();
    const hub = await startUplinkHub(t, { port: silent.port, certificate: good });
    await untilStored(hub.engine, TOPIC, 0, 1);
  });
}

test("uplink over TLS: caFile is read at every attempt: missing, damaged, of another, and right at last", async (t) => {
  const hub = await startUplinkHub(t, { certificate: good });
  const agent = await startAgent(t, hub.port, "no certificate");
  await untilRefused(agent, "CERTIFICATE_INVALID", /holds no certificate in PEM form/, /uplink\.caFile/);
  rmSync(agent.caFile);
  await untilRefused(agent, "CERTIFICATE_INVALID", /there is no such file/, /uplink\.caFile/);
  writeFileSync(agent.caFile, authority.cert.replace("MII", "AAA"));
  await untilRefused(agent, "CERTIFICATE_INVALID", /certificate 1 in .* is damaged/, /uplink\.caFile/);
  writeFileSync(agent.caFile, stranger.cert);
  await untilRefused(agent, "HUB_NOT_TRUSTED", /unknown authority/, /uplink\.caFile/);
  // As for a change of authorities: the old and the new one.
  writeFileSync(agent.caFile, `The company's:\n${stranger.cert}\n${authority.cert}\n`);
  await untilStored(hub.engine, TOPIC, 0, 1);
  assert.equal(agent.uplink.status().lastError, null);
});
