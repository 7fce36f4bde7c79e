/** Logging in by each SASL mechanism over TLS, with the wrong password too, and what a user may not do. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import kafkajs from "kafkajs";
import {
  ITERATIONS_MIN,
  deriveCredential,
  formatCredential,
  scramMechanismNames,
} from "../../../hub/access/scram-credential.ts";
import { onCleanUp } from "../../support/clean-up.ts";
import type { Connection, Mechanism } from "../../support/client-driver.ts";
import { startHub } from "../../support/programs.ts";
import type { HubProgram } from "../../support/programs.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { testCertificate, writeCertificate } from "../../support/test-certificate.ts";
import { recordCount } from "../../support/topic-ends.ts";
import { waitUntil } from "../../support/wait-until.ts";
import { DEADLINE_MS, byNumber, numberOf, upTo } from "./feature.ts";
import type { Feature, Trial } from "./feature.ts";

const DRIVER = "driver";
const SUPERUSER = "boss";
const PASSWORD = 'a password, with "signs"';
const RECORDS = 10;
const FORBIDDEN = "forbidden";

async function credentials(): Promise<readonly string[]> {
  const derive = (mechanism: (typeof scramMechanismNames)[number]) =>
    deriveCredential({ mechanism, password: PASSWORD, salt: randomBytes(16), iterations: ITERATIONS_MIN });
  return (await Promise.all(scramMechanismNames.map(derive))).map(formatCredential);
}

type SecureHub = { readonly hub: HubProgram; connection: (mechanism: Mechanism, password?: string) => Connection };

async function startSecureHub({ t }: Trial): Promise<SecureHub> {
  const files = writeCertificate(tempDir(t), await testCertificate());
  const acls = [
    { topic: "allowed-", pattern: "prefixed", operations: ["all"] },
    { group: "driver", pattern: "prefixed", operations: ["all"] },
  ];
  const users = [
    { name: DRIVER, credentials: await credentials(), acls },
    { name: SUPERUSER, credentials: await credentials(), superuser: true },
  ];
  const hub = await startHub(t, { config: { users, kafka: { tls: files } } });
  const connection = (mechanism: Mechanism, password = PASSWORD): Connection => ({
    bootstrap: hub.kafkaAddress,
    tls: { caFile: files.certFile },
    sasl: { mechanism, username: DRIVER, password },
  });
  return { hub, connection };
}

async function openSuperuserAdmin({ t }: Trial, { tls, bootstrap }: Connection) {
  const admin = new kafkajs.Kafka({
    brokers: [bootstrap],
    logLevel: kafkajs.logLevel.NOTHING,
    ssl: { ca: [readFileSync(tls?.caFile ?? "", "utf8")] },
    sasl: { mechanism: "scram-sha-512", username: SUPERUSER, password: PASSWORD },
  }).admin();
  onCleanUp(t, () => admin.disconnect());
  await admin.connect();
  return admin;
}

async function run(trial: Trial): Promise<string> {
  const { t, driver, about } = trial;
  const { hub, connection } = await startSecureHub(trial);
  const admin = await openSuperuserAdmin(trial, connection("PLAIN"));
  const topicOf = (mechanism: Mechanism): string => `allowed-${mechanism}`;
  const topics = [...about.mechanisms.map(topicOf), FORBIDDEN].map((topic) => ({ topic, numPartitions: 1 }));
  await admin.createTopics({ topics, waitForLeaders: false });

  const records = { count: RECORDS, prefix: "s", codec: "none", acks: -1, idempotent: true } as const;
  for (const mechanism of about.mechanisms) {
    const topic = topicOf(mechanism);
    assert.equal(await driver.produce(t, { ...connection(mechanism), ...records, topic }), RECORDS, mechanism);
    const read = await driver.consume(t, { ...connection(mechanism), topic, count: RECORDS });
    assert.deepEqual(read.map(({ value }) => numberOf(value)).toSorted(byNumber), upTo(RECORDS), mechanism);
  }

  const [mechanism = "PLAIN"] = about.mechanisms;
  // Some clients end with an error, some only count what was not delivered.
  const delivered = await driver
    .produce(t, { ...connection(mechanism), ...records, topic: FORBIDDEN })
    .catch((error: unknown) => error);
  assert.notEqual(delivered, RECORDS, "a topic that the user may not write");
  assert.equal(await recordCount(admin, FORBIDDEN), 0);

  const stranger = await driver.member(t, {
    ...connection(mechanism, "wrong"),
    group: "driver",
    topic: topicOf(mechanism),
  });
  await waitUntil(() => /SASL_AUTHENTICATION_FAILED/.test(hub.process.stderrTail), {
    what: "the hub to refuse a wrong password",
    deadlineMs: DEADLINE_MS,
    describe: () => stranger.describe(),
  });
  await stranger.child.kill9();
  assert.deepEqual(stranger.assignments, [], "a wrong password reads nothing");
  return about.mechanisms.join(", ");
}

export const securityFeature: Feature = {
  key: "sasl",
  title: "SASL over TLS; a wrong password and a forbidden topic are refused",
  run,
};
