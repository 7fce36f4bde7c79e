import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamError } from "../../../../shared/errors.ts";
import { dispatch, handlers } from "../../../../hub/kafka/dispatch.ts";
import { SaslSession } from "../../../../hub/kafka/sasl/sasl-session.ts";
import { apiVersionsApi } from "../../../../hub/kafka/schemas/cluster.ts";
import { allApis } from "../../../support/kafka-apis.ts";
import { answer, kafkaServices, testPeer } from "../../../support/kafka-hub.ts";
import { testDirectory } from "../../../support/test-users.ts";

const ascending = (a: number, b: number): number => a - b;
const start = (apiKey: number, version: number): Buffer => {
  const frame = Buffer.alloc(10);
  frame.writeInt16BE(apiKey, 0);
  frame.writeInt16BE(version, 2);
  frame.writeInt32BE(7, 4);
  frame.writeInt16BE(-1, 8);
  return frame;
};
const closes = (error: unknown): boolean => error instanceof StreamError && error.code === "UNSUPPORTED_VERSION";

test("every schema has its handler", () => {
  assert.deepEqual([...handlers.keys()].toSorted(ascending), allApis.map(({ key }) => key).toSorted(ascending));
});

test("ApiVersions promises what is served, in every version", async () => {
  for (let version = 0; version <= 4; version++) {
    const request = { clientSoftwareName: "test", clientSoftwareVersion: "1" };
    const { errorCode, apiKeys } = await answer(kafkaServices(), { api: apiVersionsApi, version, request });
    assert.equal(errorCode, 0);
    assert.deepEqual(
      apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, minVersion, maxVersion]),
      allApis
        .map(({ key, advertisedFrom, last }) => [key, advertisedFrom, last])
        .toSorted((a, b) => (a[0] ?? 0) - (b[0] ?? 0)),
    );
  }
});

test("what librdkafka up to 2.11 insists on is advertised", () => {
  const range = (key: number) => handlers.get(key)?.api;
  assert.equal(range(0)?.advertisedFrom, 0, "Produce from 0, or it does not compress");
  assert.equal(range(1)?.advertisedFrom, 4, "Fetch from 4 at the latest, or it falls back to old formats");
  assert.equal(range(10)?.advertisedFrom, 0, "FindCoordinator from 0, or groups never start");
  assert.ok((range(3)?.advertisedFrom ?? 99) <= 4 && (range(8)?.advertisedFrom ?? 99) <= 2);
});

test("an ApiVersions of a version to come is answered in version 0 with error 35", async () => {
  const response = await dispatch(start(18, 9), kafkaServices(), testPeer()).response;
  const bytes = Buffer.concat(response?.chunks ?? []);
  assert.equal(bytes.toString("hex"), "0000001000000007002300000001001200000004");
});

test("other versions and APIs that are not served close the connection", () => {
  for (const [apiKey, version] of [
    [0, 0],
    [0, 2],
    [0, 12],
    [1, 3],
    [1, 18],
    [3, 14],
    [3, -1],
    [4, 0],
    [999, 0],
  ] as const) {
    assert.throws(() => dispatch(start(apiKey, version), kafkaServices(), testPeer()), closes, `${apiKey} v${version}`);
  }
});

test("on a connection that has to log in, nothing but what that needs is served before", async () => {
  const sasl = new SaslSession({
    users: await testDirectory({ alice: "pencil" }),
    mechanisms: ["PLAIN"],
    onLogin: () => undefined,
    onFailure: () => undefined,
  });
  const needed = new Set([17, 18, 36]);
  for (const { key, name, first } of allApis) {
    if (needed.has(key)) continue;
    const serve = () => dispatch(start(key, first), kafkaServices(), { ...testPeer(), sasl });
    assert.throws(serve, { code: "ILLEGAL_SASL_STATE", message: new RegExp(name) });
  }
  assert.equal(dispatch(start(18, 0), kafkaServices(), { ...testPeer(), sasl }).api, "ApiVersions");
});
