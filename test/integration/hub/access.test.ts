/** What a hub says of its own accord about who can reach it and read along. */
import assert from "node:assert/strict";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { pino } from "pino";
import { loadHubConfig } from "../../../hub/config.ts";
import { startHub } from "../../../hub/hub.ts";
import { formatCredential } from "../../../hub/access/scram-credential.ts";
import { systemClock } from "../../../shared/clock.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { testCertificate, writeCertificate } from "../../support/test-certificate.ts";
import { testUser } from "../../support/test-users.ts";

const { name, credentials } = await testUser("alice", "pencil");
const users = { TRIBUTARY_USERS: JSON.stringify([{ name, credentials: credentials.map(formatCredential) }]) };
const WARN = 40;

/** The warnings of a hub that has started. */
async function warningsOf(t: TestContext, kafka: string, env: Readonly<Record<string, string>>): Promise<string[]> {
  const warnings: string[] = [];
  const write = (line: string): void => {
    const { level, msg } = JSON.parse(line) as { level: number; msg: string };
    if (level >= WARN) warnings.push(msg);
  };
  const flags = { data: path.join(tempDir(t), "data"), http: "127.0.0.1:0", kafka };
  const hub = await startHub(loadHubConfig({ flags, env }).config, { logger: pino({}, { write }), clock: systemClock });
  onCleanUp(t, () => hub.close());
  return warnings;
}

suite("a hub that starts", () => {
  test("warns when it has users but others can read along", async (t) => {
    const [warning] = await warningsOf(t, "0.0.0.0:0", users);
    assert.match(warning ?? "", /users but no TLS.*PLAIN is not offered; set kafka\.tls/);
  });

  test("has nothing to warn of on loopback, or with TLS", async (t) => {
    const { certFile, keyFile } = writeCertificate(tempDir(t), await testCertificate());
    const tls = { TRIBUTARY_KAFKA_TLS_CERT_FILE: certFile, TRIBUTARY_KAFKA_TLS_KEY_FILE: keyFile };
    assert.deepEqual(await warningsOf(t, "127.0.0.1:0", users), []);
    assert.deepEqual(await warningsOf(t, "0.0.0.0:0", { ...users, ...tls }), []);
  });

  test("warns of a certificate that clients will not take", async (t) => {
    const expired = await testCertificate("hub", { fromMs: 0, toMs: Date.parse("2001-01-01T00:00:00Z") });
    const { certFile, keyFile } = writeCertificate(tempDir(t), expired);
    const tls = { TRIBUTARY_KAFKA_TLS_CERT_FILE: certFile, TRIBUTARY_KAFKA_TLS_KEY_FILE: keyFile };
    assert.deepEqual(await warningsOf(t, "127.0.0.1:0", tls), ["clients will refuse the TLS certificate"]);
  });
});
