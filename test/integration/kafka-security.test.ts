/** Logins and TLS on the Kafka listener: with unmodified clients, and with what no client would do. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { connect as connectTls } from "node:tls";
import type { TLSSocket } from "node:tls";
import { Admin } from "@platformatic/kafka";
import { Kafka, logLevel } from "kafkajs";
import type { KafkaConfig, SASLOptions } from "kafkajs";
import { pino } from "pino";
import { readBatchHeader } from "../../shared/batch/record-batch.ts";
import { encodeRecords } from "../../shared/batch/records.ts";
import { systemClock } from "../../shared/clock.ts";
import { silentLogger } from "../../shared/logger.ts";
import { CertificateWatch } from "../../hub/access/certificate-watch.ts";
import { apiVersionsApi } from "../../hub/kafka/schemas/cluster.ts";
import { fetchApi } from "../../hub/kafka/schemas/records.ts";
import { saslAuthenticateApi, saslHandshakeApi } from "../../hub/kafka/schemas/sasl.ts";
import { metadataApi } from "../../hub/kafka/schemas/topics.ts";
import { onCleanUp } from "../support/clean-up.ts";
import { readResponse, requestFrame, startKafka } from "../support/kafka-hub.ts";
import type { TestHubOptions } from "../support/kafka-hub.ts";
import { RawKafkaClient } from "../support/raw-kafka-client.ts";
import { tempDir } from "../support/temp-dir.ts";
import { testCertificate, writeCertificate } from "../support/test-certificate.ts";
import { testDirectory } from "../support/test-users.ts";

const PASSWORD = "correct, horse=battery";
const MECHANISMS = ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] as const;

const users = await testDirectory({ alice: PASSWORD, bob: "another" });

async function certificateFor(t: TestContext, name = "hub") {
  const made = await testCertificate(name);
  const directory = tempDir(t);
  const files = writeCertificate(directory, made);
  const certificate = await CertificateWatch.open({ files, clock: systemClock, logger: silentLogger() });
  onCleanUp(t, () => certificate.close());
  return { ca: made.cert, directory, certificate };
}

async function startSecure(t: TestContext, hub: TestHubOptions = {}) {
  const { certificate, ca, directory } = await certificateFor(t);
  const started = await startKafka(t, { ...hub, access: { users, certificate, ...hub.access } });
  return { ...started, certificate, ca, directory };
}

const startWithUsers = (t: TestContext, hub: TestHubOptions = {}) => startKafka(t, { ...hub, access: { users } });

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** Keeps the reasons of what is logged. */
function listeningLogger() {
  const reasons: string[] = [];
  const write = (line: string): void => {
    const { reason } = JSON.parse(line) as { reason?: string };
    if (reason !== undefined) reasons.push(reason);
  };
  return { logger: pino({}, { write }), reasons };
}

type Login = { readonly mechanism: (typeof MECHANISMS)[number]; readonly username: string; readonly password: string };
type Ca = { readonly ca?: string };

async function kafkaJsTopics(address: string, { ca, ...login }: Login & Ca): Promise<string[]> {
  const config: KafkaConfig = {
    brokers: [address],
    logLevel: logLevel.NOTHING,
    retry: { retries: 0 },
    sasl: { ...login, mechanism: login.mechanism.toLowerCase() } as SASLOptions,
    ...(ca === undefined ? {} : { ssl: { ca: [ca] } }),
  };
  const admin = new Kafka(config).admin();
  await admin.connect();
  try {
    return await admin.listTopics();
  } finally {
    await admin.disconnect();
  }
}

async function platformaticTopics(address: string, { ca, ...login }: Login & Ca): Promise<string[]> {
  const admin = new Admin({
    clientId: "test",
    bootstrapBrokers: [address],
    retries: 0,
    sasl: login,
    ...(ca === undefined ? {} : { tls: { ca } }),
  });
  try {
    return await admin.listTopics();
  } finally {
    await admin.close();
  }
}

const clients = { KafkaJS: kafkaJsTopics, "@platformatic/kafka": platformaticTopics } as const;
for (const [client, listTopics] of Object.entries(clients)) {
  suite(client, () => {
    for (const mechanism of MECHANISMS) {
      const login = { mechanism, username: "alice", password: PASSWORD };
      test(`logs in with ${mechanism}, over TLS and without`, async (t) => {
        const open = await startWithUsers(t);
        await open.engine.createTopic({ name: "t", partitionCount: 1 });
        assert.deepEqual(await listTopics(open.address, login), ["t"]);
        const secure = await startSecure(t);
        assert.deepEqual(await listTopics(secure.address, { ...login, ca: secure.ca }), []);
        assert.deepEqual(
          [open.listener.stats().loginFailuresTotal, secure.listener.stats().loginFailuresTotal],
          [0, 0],
        );
      });

      test(`${mechanism} with a wrong password or an unknown user is refused alike`, async (t) => {
        const hub = await startWithUsers(t);
        const refusal = async (wrong: Partial<Login>): Promise<string> => {
          const error = await listTopics(hub.address, { ...login, ...wrong }).then(
            () => assert.fail("logged in"),
            (reason: unknown) => reason,
          );
          return JSON.stringify(error, ["name", "message", "errors", "cause", "serverErrorMessage"]);
        };
        const wrongPassword = await refusal({ password: "guess" });
        assert.equal(await refusal({ username: "mallory" }), wrongPassword);
        assert.ok(!wrongPassword.includes("guess"));
        assert.ok(hub.listener.stats().loginFailuresTotal >= 2);
      });
    }
  });
}

const versions = requestFrame(apiVersionsApi, 0, { clientSoftwareName: "", clientSoftwareVersion: "" });
const handshake = (mechanism: string, version = 1) => requestFrame(saslHandshakeApi, version, { mechanism });
const authenticate = (token: string | Buffer, version = 1) =>
  requestFrame(saslAuthenticateApi, version, { authBytes: Buffer.from(token) });
const topics = requestFrame(metadataApi, 1, { topics: null });
const plain = (user = "alice", password = PASSWORD): string => `\0${user}\0${password}`;

async function logIn(client: RawKafkaClient, token = plain()): Promise<number> {
  client.send(handshake("PLAIN"));
  assert.equal(readResponse(saslHandshakeApi, 1, await client.receive()).errorCode, 0);
  client.send(authenticate(token));
  return readResponse(saslAuthenticateApi, 1, await client.receive()).errorCode;
}

suite("before a login", () => {
  test("nothing but ApiVersions and SASL is answered; another request closes the connection", async (t) => {
    const hub = await startWithUsers(t);
    const client = await RawKafkaClient.connect(t, hub);
    client.send(versions, versions);
    assert.ok(readResponse(apiVersionsApi, 0, await client.receive()).apiKeys.length > 20);
    await client.receive();
    client.send(topics);
    await client.closed;
    assert.equal(hub.listener.stats().connectionsRefusedTotal, 1);
  });

  test("a request of more than loginRequestBytesMax closes the connection; afterwards it is allowed", async (t) => {
    const hub = await startWithUsers(t, { options: { loginRequestBytesMax: 200 } });
    const large = requestFrame(metadataApi, 1, { topics: [{ name: "a".repeat(249), topicId: Buffer.alloc(16) }] });
    const client = await RawKafkaClient.connect(t, hub);
    assert.equal(await logIn(client), 0);
    client.send(large);
    await client.receive();
    const stranger = await RawKafkaClient.connect(t, hub);
    stranger.send(authenticate("a".repeat(200)));
    await stranger.closed;
  });

  test("a silent connection is closed after loginMsMax; one that logged in stays", async (t) => {
    const hub = await startWithUsers(t, { options: { loginMsMax: 300 } });
    const [silent, slow, good] = await Promise.all([
      RawKafkaClient.connect(t, hub),
      RawKafkaClient.connect(t, hub),
      RawKafkaClient.connect(t, hub),
    ]);
    assert.equal(await logIn(good), 0);
    slow.send(handshake("PLAIN"));
    await Promise.all([silent.closed, slow.closed]);
    good.send(topics);
    await good.receive();
  });

  test("the listener without users says that there is nothing to log in to, as Kafka's PLAINTEXT ones do", async (t) => {
    const hub = await startKafka(t);
    const client = await RawKafkaClient.connect(t, hub);
    client.send(handshake("PLAIN"), authenticate("x"), topics);
    const answer = readResponse(saslHandshakeApi, 1, await client.receive());
    assert.deepEqual([answer.errorCode, answer.mechanisms], [34, []]);
    assert.equal(readResponse(saslAuthenticateApi, 1, await client.receive()).errorCode, 34);
    await client.receive();
  });
});

suite("a login", () => {
  test("that fails is answered with 58 and a message, and the connection is closed", async (t) => {
    const hub = await startWithUsers(t);
    const client = await RawKafkaClient.connect(t, hub);
    client.send(handshake("PLAIN"));
    await client.receive();
    client.send(authenticate(plain("alice", "wrong"), 0));
    const answer = readResponse(saslAuthenticateApi, 0, await client.receive());
    assert.equal(answer.errorCode, 58);
    assert.match(answer.errorMessage ?? "", /user name or password is wrong/);
    await client.closed;
  });

  test("with a mechanism that is not offered is answered with 33 and those that are", async (t) => {
    const hub = await startWithUsers(t);
    const client = await RawKafkaClient.connect(t, hub);
    client.send(handshake("OAUTHBEARER"));
    const answer = readResponse(saslHandshakeApi, 1, await client.receive());
    assert.deepEqual([answer.errorCode, answer.mechanisms], [33, [...MECHANISMS]]);
    await client.closed;
  });

  test("tokens come as they are after a handshake of version 0", async (t) => {
    const hub = await startWithUsers(t);
    const client = await RawKafkaClient.connect(t, hub);
    client.send(handshake("PLAIN", 0));
    assert.equal(readResponse(saslHandshakeApi, 0, await client.receive()).errorCode, 0);
    client.socket.removeAllListeners("data");
    const sent = once(client.socket, "data");
    client.send(Buffer.from(plain()));
    assert.equal(((await sent) as Buffer[])[0]?.toString("hex"), "00000000", "an empty token says that all is well");
  });

  test("with a wrong raw token closes the connection without an answer", async (t) => {
    const hub = await startWithUsers(t);
    const client = await RawKafkaClient.connect(t, hub);
    client.send(handshake("PLAIN", 0));
    await client.receive();
    client.send(Buffer.from(plain("alice", "x")));
    await client.closed;
    assert.equal(hub.listener.stats().loginFailuresTotal, 1);
  });

  test("that fails too often from one address other than loopback closes it to connections", async (t) => {
    const outside = Object.values(networkInterfaces())
      .flatMap((each) => each ?? [])
      .find(({ internal, family }) => !internal && family === "IPv4")?.address;
    if (outside === undefined) return t.skip("no address but loopback");
    const options = { host: "0.0.0.0", loginFailuresPerMinuteMax: 2 };
    const { certificate, ca } = await certificateFor(t);
    const hub = await startKafka(t, { options, access: { users, certificate } });
    const secured = async (host: string): Promise<TLSSocket> => {
      const socket = connectTls({ host, port: hub.port, ca, servername: "localhost" });
      onCleanUp(t, () => socket.destroy());
      await once(socket, "secureConnect");
      return socket;
    };
    for (let i = 0; i < 2; i++) {
      const client = new RawKafkaClient(await secured(outside));
      assert.equal(await logIn(client, plain("alice", "guess")), 58);
      await client.closed;
    }
    await assert.rejects(secured(outside));
    assert.equal(await logIn(new RawKafkaClient(await secured("127.0.0.1"))), 0);
  });

  test("may be done once more as the same user, not as another", async (t) => {
    const hub = await startWithUsers(t);
    const client = await RawKafkaClient.connect(t, hub);
    assert.equal(await logIn(client), 0);
    assert.equal(await logIn(client), 0);
    client.send(topics);
    await client.receive();
    assert.equal(await logIn(client, plain("bob", "another")), 58);
    await client.closed;
  });
});

suite("TLS", () => {
  const connectSecure = async (t: TestContext, at: { host: string; port: number }, ca: string): Promise<TLSSocket> => {
    const socket = connectTls({ ...at, ca });
    onCleanUp(t, () => socket.destroy());
    await once(socket, "secureConnect");
    return socket;
  };

  test("versions before 1.2 are refused", async (t) => {
    const { logger, reasons } = listeningLogger();
    const hub = await startSecure(t, { logger });
    const socket = connectTls({
      ...hub,
      ca: hub.ca,
      minVersion: "TLSv1",
      maxVersion: "TLSv1.1",
      ciphers: "ALL@SECLEVEL=0",
    });
    await assert.rejects(once(socket, "secureConnect"));
    await until(() => reasons.length === 1);
    assert.match(reasons[0] ?? "", /TLS handshake failed: ERR_SSL_UNSUPPORTED_PROTOCOL/);
  });

  for (const [what, bytes, reason] of [
    [
      "Kafka without TLS",
      Buffer.concat([Buffer.from([0, 0, 0, versions.length]), versions]),
      /speaks Kafka, or something else, without TLS on a listener with TLS/,
    ],
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n"), /speaks HTTP without TLS on a listener with TLS/],
    ["a handshake that is none", Buffer.from([0x16, 3, 1, 0, 5, 9, 9, 9, 9, 9]), /TLS handshake failed: ERR_SSL_/],
  ] as const) {
    test(`${what} on a listener with TLS closes the connection, and only that one`, async (t) => {
      const { logger, reasons } = listeningLogger();
      const hub = await startSecure(t, { logger });
      const client = await RawKafkaClient.connect(t, hub);
      client.socket.removeAllListeners("data").resume();
      client.socket.write(bytes);
      await client.closed;
      await connectSecure(t, hub, hub.ca);
      assert.equal(hub.listener.stats().connectionsRefusedTotal, 1);
      assert.match(reasons[0] ?? "", reason);
    });
  }

  test("a handshake that never ends is ended after handshakeMsMax, whether nothing came or half of it", async (t) => {
    const { certificate, ca } = await certificateFor(t);
    const hub = await startKafka(t, { access: { certificate }, options: { handshakeMsMax: 200 } });
    const secured = await connectSecure(t, hub, ca);
    const silent = await RawKafkaClient.connect(t, hub);
    const slow = await RawKafkaClient.connect(t, hub);
    slow.socket.write(Buffer.from([0x16, 3, 1, 2, 0]));
    await until(() => hub.listener.stats().connections === 3);
    await Promise.all([silent.closed, slow.closed]);
    await until(() => hub.listener.stats().connections === 1);
    assert.ok(!secured.destroyed);
  });

  test("connections count in the limits before their handshake is complete", async (t) => {
    const hub = await startSecure(t, { options: { connectionsMax: 2 } });
    await RawKafkaClient.connect(t, hub);
    await RawKafkaClient.connect(t, hub);
    await until(() => hub.listener.stats().connections === 2);
    const third = await RawKafkaClient.connect(t, hub);
    await third.closed;
  });

  test("a large answer comes over TLS byte for byte", async (t) => {
    const hub = await startSecure(t);
    await hub.engine.createTopic({ name: "t", partitionCount: 1 });
    for (let i = 0; i < 8; i++) {
      const batch = encodeRecords([{ timestamp: 0, key: null, value: randomBytes(300_000) }]);
      await hub.engine.append({ topic: "t", partition: 0, batch, header: readBatchHeader(batch), durability: "os" });
    }
    const { batches } = hub.engine.read({ topic: "t", partition: 0, offset: 0, bytesMax: 1e9, atLeastOne: true });
    const client = new RawKafkaClient(await connectSecure(t, hub, hub.ca));
    assert.equal(await logIn(client), 0);
    const limits = { maxWaitMs: 0, minBytes: 1, maxBytes: 100_000_000, isolationLevel: 0 };
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 100_000_000 }];
    client.send(
      requestFrame(fetchApi, 11, { ...limits, topics: [{ topic: "t", topicId: Buffer.alloc(16), partitions }] }),
    );
    const answer = readResponse(fetchApi, 11, await client.receive());
    assert.ok(answer.responses[0]?.partitions[0]?.records?.equals(Buffer.concat(batches)));
  });

  test("whoever is too late or offends is gone altogether, over TLS too", async (t) => {
    const hub = await startSecure(t, { options: { loginMsMax: 200 } });
    const silent = new RawKafkaClient(await connectSecure(t, hub, hub.ca));
    const offender = new RawKafkaClient(await connectSecure(t, hub, hub.ca));
    offender.send(topics);
    await Promise.all([silent.closed, offender.closed]);
    await until(() => hub.listener.stats().connections === 0);
    assert.equal(hub.listener.stats().connectionsRefusedTotal, 2);
  });

  test("a connection that comes and goes without a word is no complaint", async (t) => {
    const hub = await startSecure(t);
    const probe = connect(hub);
    probe.once("connect", () => probe.destroy());
    await until(() => hub.listener.stats().connectionsTotal === 1 && hub.listener.stats().connections === 0);
    assert.equal(hub.listener.stats().connectionsRefusedTotal, 0);
  });

  test("bytes are counted, and closing ends connections within and after the handshake", async (t) => {
    const hub = await startSecure(t);
    const socket = await connectSecure(t, hub, hub.ca);
    const client = new RawKafkaClient(socket);
    client.send(versions);
    await client.receive();
    const { bytesInTotal, bytesOutTotal } = hub.listener.stats();
    assert.ok(bytesInTotal > versions.length && bytesOutTotal > bytesInTotal);
    const half = await RawKafkaClient.connect(t, hub);
    await until(() => hub.listener.stats().connections === 2);
    await Promise.all([hub.listener.close(), client.closed, half.closed]);
    await until(() => hub.listener.stats().connections === 0);
  });

  test("a new certificate is used for new connections, old ones go on; a broken one changes nothing", async (t) => {
    const hub = await startSecure(t);
    const before = new RawKafkaClient(await connectSecure(t, hub, hub.ca));
    const next = await testCertificate("next");
    writeCertificate(hub.directory, next);
    await hub.certificate.check();
    const after = await connectSecure(t, hub, next.cert);
    assert.equal(after.getPeerCertificate().subject.CN, "next");
    writeCertificate(hub.directory, { cert: "broken", key: "broken" });
    await hub.certificate.check();
    await connectSecure(t, hub, next.cert);
    before.send(versions);
    await before.receive();
  });
});
