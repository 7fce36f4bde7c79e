import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamError } from "../../../../shared/errors.ts";
import { decodeRequest, decodeResponse, encodeRequest, encodeResponse } from "../../../../hub/kafka/compile.ts";
import { readClientId, readRequestStart, writeResponseHeader } from "../../../../hub/kafka/request-header.ts";
import type { Api, Encodable, FieldSpec, Shape, StructSpec } from "../../../../hub/kafka/schema.ts";
import { structSpec } from "../../../../hub/kafka/schema.ts";
import { apiVersionsApi } from "../../../../hub/kafka/schemas/cluster.ts";
import {
  consumerGroupHeartbeatApi,
  heartbeatApi,
  joinGroupApi,
  offsetFetchApi,
} from "../../../../hub/kafka/schemas/groups.ts";
import { fetchApi, produceApi } from "../../../../hub/kafka/schemas/records.ts";
import { deleteTopicsApi, metadataApi } from "../../../../hub/kafka/schemas/topics.ts";
import { REQUEST_ELEMENTS_MAX, WireReader } from "../../../../hub/kafka/wire-reader.ts";
import { WireWriter } from "../../../../hub/kafka/wire-writer.ts";
import { allApis } from "../../../support/kafka-apis.ts";

type AnyApi = Api<Shape, Shape>;
const malformed = (error: unknown): boolean => error instanceof StreamError && error.code === "INVALID_REQUEST";

/** Frames with their length, as Kafka's clients and brokers write them. */
const golden = {
  apiVersions0: "0000000b0012000000000001000163",
  apiVersions3: "000000110012000300000001000163000278023100",
  metadata1: "0000000f0003000100000002000163ffffffff",
  metadata9: "000000140003000900000002000163000202740001000000",
};

function readGolden<Q extends Shape, S extends Shape>(api: Api<Q, S>, frame: Buffer) {
  const reader = new WireReader(frame.subarray(4));
  const start = readRequestStart(reader);
  const clientId = readClientId(reader, api, start.version);
  return { ...start, clientId, body: decodeRequest(api, start.version, reader), remaining: reader.remaining };
}

test("golden requests are read as what their clients asked", () => {
  const read = <Q extends Shape, S extends Shape>(api: Api<Q, S>, hex: string) =>
    readGolden(api, Buffer.from(hex, "hex"));
  const noSoftware = { clientSoftwareName: "", clientSoftwareVersion: "" };
  assert.deepEqual(read(apiVersionsApi, golden.apiVersions0), {
    apiKey: 18,
    version: 0,
    correlationId: 1,
    clientId: "c",
    body: noSoftware,
    remaining: 0,
  });
  assert.deepEqual(read(apiVersionsApi, golden.apiVersions3).body, {
    clientSoftwareName: "x",
    clientSoftwareVersion: "1",
  });
  const all = read(metadataApi, golden.metadata1);
  assert.equal(all.body.topics, null);
  assert.equal(all.body.allowAutoTopicCreation, true);
  const one = read(metadataApi, golden.metadata9);
  assert.deepEqual(
    one.body.topics?.map(({ name }) => name),
    ["t"],
  );
  assert.equal(one.remaining, 0);
});

test("golden requests cut at any length are malformed", () => {
  for (const [api, hex] of [
    [apiVersionsApi, golden.apiVersions0],
    [apiVersionsApi, golden.apiVersions3],
    [metadataApi, golden.metadata1],
    [metadataApi, golden.metadata9],
  ] as unknown as [AnyApi, string][]) {
    const frame = Buffer.from(hex, "hex");
    for (let cut = 4; cut < frame.length; cut++) {
      assert.throws(() => readGolden(api, frame.subarray(0, cut)), malformed, `${api.name} cut at ${cut}`);
    }
  }
});

test("golden responses have the bytes that clients expect", () => {
  const response = <Q extends Shape, S extends Shape>(
    api: Api<Q, S>,
    at: { version: number; correlationId: number },
    body: Encodable<S>,
  ): string => {
    const writer = new WireWriter();
    writeResponseHeader(writer, { api, ...at });
    encodeResponse(api, at.version, writer, body);
    return Buffer.concat(writer.finish().chunks).toString("hex");
  };
  const apiKeys = [{ apiKey: 18, minVersion: 0, maxVersion: 3 }];
  const corr1 = (version: number) => ({ version, correlationId: 1 });
  assert.equal(
    response(apiVersionsApi, corr1(0), { errorCode: 0, apiKeys }),
    "0000001000000001000000000001001200000003",
  );
  assert.equal(
    response(apiVersionsApi, corr1(3), { errorCode: 0, apiKeys }),
    "0000001300000001000002001200000003000000000000",
  );
  assert.equal(
    response(apiVersionsApi, corr1(0), { errorCode: 35, apiKeys }),
    "0000001000000001002300000001001200000003",
  );
  assert.equal(
    response(heartbeatApi, { version: 4, correlationId: 7 }, { errorCode: 27 }),
    "0000000c000000070000000000001b00",
  );
});

// Round trips -------------------------------------------------------------------------------------------------------

type Random = (below: number) => number;

function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

type Generated = { readonly encoded: unknown; readonly expected: unknown };
const same = (value: unknown): Generated => ({ encoded: value, expected: value });

function generate(spec: FieldSpec, version: number, random: Random): Generated {
  if (version >= spec.nullableFrom && random(4) === 0) return same(null);
  switch (spec.kind) {
    case "boolean":
      return same(random(2) === 1);
    case "int8":
      return same(random(256) - 128);
    case "int16":
      return same(random(65_536) - 32_768);
    case "int32":
      return same(random(2 ** 32) - 2 ** 31);
    case "int64":
      return same([-1, 0, 2 ** 32, Number.MAX_SAFE_INTEGER, -(2 ** 32) - 1, random(2 ** 32)][random(6)]);
    case "bigint64":
      return same([-1n, 0n, 2n ** 63n - 1n, -(2n ** 63n)][random(4)]);
    case "string":
      return same("grün ".repeat(random(4)));
    case "bytes":
      return same(Buffer.alloc(random(300), random(256)));
    case "uuid":
      return same(Buffer.alloc(16, random(256)));
    case "records": {
      const parts = Array.from({ length: random(3) }, () => Buffer.alloc(random(2000), random(256)));
      return { encoded: parts, expected: Buffer.concat(parts) };
    }
    case "array": {
      const { element } = spec;
      assert.ok(element !== undefined);
      const items = Array.from({ length: random(4) }, () => generate(element, version, random));
      return { encoded: items.map((each) => each.encoded), expected: items.map((each) => each.expected) };
    }
    case "struct":
      return generateStruct(spec.fields, version, random);
  }
}

function generateStruct(spec: StructSpec, version: number, random: Random): Generated {
  const encoded: Record<string, unknown> = {};
  const expected: Record<string, unknown> = {};
  for (const [name, field] of spec) {
    if (version < field.first || version > field.last) continue;
    const value = generate(field, version, random);
    encoded[name] = value.encoded;
    expected[name] = value.expected;
  }
  return { encoded, expected };
}

/** What the version lacks is filled with defaults; all else must be as generated. */
function assertContains(actual: unknown, expected: unknown, path: string): void {
  if (Array.isArray(expected)) {
    assert.ok(Array.isArray(actual) && actual.length === expected.length, path);
    for (const [index, each] of expected.entries()) assertContains(actual[index], each, `${path}[${index}]`);
  } else if (typeof expected === "object" && expected !== null && !Buffer.isBuffer(expected)) {
    for (const [name, each] of Object.entries(expected)) {
      assertContains((actual as Record<string, unknown>)[name], each, `${path}.${name}`);
    }
  } else {
    assert.deepEqual(actual, expected, path);
  }
}

test("every version of every API reads back what it wrote, in both directions, and refuses every cut of it", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
  const random = seededRandom(seed);
  for (const api of allApis) {
    for (let version = api.first; version <= api.last; version++) {
      for (let round = 0; round < 3; round++) {
        const where = `${api.name} v${version}, seed ${seed}`;
        const request = generateStruct(structSpec(api.request), version, random);
        const requestWriter = new WireWriter();
        encodeRequest(api, version, requestWriter, request.encoded as Encodable<Shape>);
        const requestBody = requestWriter.takeBody();
        assertContains(decodeRequest(api, version, new WireReader(requestBody)), request.expected, where);
        const cut = random(requestBody.length);
        if (requestBody.length > 0) {
          assert.throws(
            () => decodeRequest(api, version, new WireReader(requestBody.subarray(0, cut))),
            malformed,
            where,
          );
        }
        const response = generateStruct(structSpec(api.response), version, random);
        const responseWriter = new WireWriter();
        encodeResponse(api, version, responseWriter, response.encoded as Encodable<Shape>);
        const responseBody = responseWriter.takeBody();
        assertContains(decodeResponse(api, version, new WireReader(responseBody)), response.expected, where);
      }
    }
  }
});

test("decoded objects have every field whatever the version", () => {
  const writer = new WireWriter();
  encodeRequest(deleteTopicsApi, 1, writer, { topicNames: ["a"], timeoutMs: 5 });
  const decoded = decodeRequest(deleteTopicsApi, 1, new WireReader(writer.takeBody()));
  assert.deepEqual(decoded, { topics: [], topicNames: ["a"], timeoutMs: 5 });
});

test("a null that the version cannot express is written as the type's zero", () => {
  const writer = new WireWriter();
  encodeResponse(joinGroupApi, 6, writer, {
    errorCode: 25,
    generationId: -1,
    protocolType: null,
    protocolName: null,
    leader: "",
    skipAssignment: false,
    memberId: "",
    members: [],
  });
  const decoded = decodeResponse(joinGroupApi, 6, new WireReader(writer.takeBody()));
  assert.equal(decoded.protocolName, "");
});

test("null where the version allows none is malformed", () => {
  const writer = new WireWriter();
  writer.string("group", false);
  writer.count(null, false);
  assert.throws(() => decodeRequest(offsetFetchApi, 1, new WireReader(writer.takeBody())), malformed);
});

test("bytes after a request are tolerated", () => {
  const frame = Buffer.concat([Buffer.from(golden.metadata9, "hex"), Buffer.from([1, 2, 3])]);
  assert.equal(readGolden(metadataApi, frame).remaining, 3);
});

test("unknown tagged fields are skipped, known ones are read", () => {
  const writer = new WireWriter();
  encodeRequest(fetchApi, 15, writer, {
    replicaState: { replicaId: 3, replicaEpoch: 4 },
    maxWaitMs: 1,
    minBytes: 1,
    maxBytes: 1,
    isolationLevel: 0,
    topics: [],
  });
  const body = writer.takeBody();
  // The last bytes: one tag, its number 1, its size. A second, unknown tag 9 with two bytes goes behind it.
  const tagged = Buffer.concat([body, Buffer.from([9, 2, 0xaa, 0xbb])]);
  const countAt = body.length - (1 + 1 + 1 + 4 + 8 + 1);
  assert.equal(tagged[countAt], 1);
  tagged[countAt] = 2;
  const reader = new WireReader(tagged);
  const decoded = decodeRequest(fetchApi, 15, reader);
  assert.deepEqual(decoded.replicaState, { replicaId: 3, replicaEpoch: 4 });
  assert.equal(reader.remaining, 0);
});

// Hostile input -----------------------------------------------------------------------------------------------------

test("counts and lengths beyond the frame are refused before anything is made of them", () => {
  const cases: readonly [string, AnyApi, number, string][] = [
    ["array of 2^31-1", metadataApi, 1, "7fffffff"],
    ["array of -2", metadataApi, 1, "fffffffe"],
    ["string of 32767", metadataApi, 1, "000000017fff"],
    ["string of -2", metadataApi, 1, "00000001fffe"],
    ["compact array of 2^32-2", metadataApi, 9, "ffffffff0f"],
    ["compact array with a length of six bytes", metadataApi, 9, "ffffffffff01"],
    ["compact string of 2^32-2", metadataApi, 9, "02ffffffff0f"],
    ["records of 2^31-1", produceApi, 3, "ffff000100000000000000010001740000000100000000" + "7fffffff"],
    ["records of -2", produceApi, 3, "ffff000100000000000000010001740000000100000000" + "fffffffe"],
  ];
  for (const [what, api, version, hex] of cases) {
    assert.throws(() => decodeRequest(api, version, new WireReader(Buffer.from(hex, "hex"))), malformed, what);
  }
});

test("a request of more array elements than any client has is refused", () => {
  const count = REQUEST_ELEMENTS_MAX + 1;
  const writer = new WireWriter();
  writer.count(count, false);
  for (let i = 0; i < count; i++) writer.string("", false);
  assert.throws(() => decodeRequest(metadataApi, 1, new WireReader(writer.takeBody())), malformed);
});

test("random bytes are read or malformed, never anything else", () => {
  const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
  const random = seededRandom(seed);
  for (const api of allApis) {
    for (let version = api.first; version <= api.last; version++) {
      for (let round = 0; round < 5; round++) {
        const bytes = Buffer.from(
          Array.from({ length: random(60) }, () => (random(2) === 0 ? random(4) : random(256))),
        );
        try {
          decodeRequest(api, version, new WireReader(bytes));
        } catch (error) {
          assert.ok(malformed(error), `${api.name} v${version}, seed ${seed}: ${String(error)}`);
        }
      }
    }
  }
});

test("records are read as a view and large ones are written by reference", () => {
  const batch = Buffer.alloc(10_000, 1);
  const writer = new WireWriter();
  encodeRequest(produceApi, 9, writer, {
    transactionalId: null,
    acks: -1,
    timeoutMs: 0,
    topicData: [{ name: "t", partitionData: [{ index: 0, records: [batch] }] }],
  });
  const { chunks, bytes } = writer.finish();
  assert.ok(chunks.includes(batch), "the batch itself is a chunk");
  assert.equal(
    bytes,
    chunks.reduce((sum, chunk) => sum + chunk.length, 0),
  );
  const frame = Buffer.concat(chunks);
  assert.equal(frame.readInt32BE(0), bytes - 4);
  const decoded = decodeRequest(produceApi, 9, new WireReader(frame, 4));
  const records = decoded.topicData[0]?.partitionData[0]?.records;
  assert.equal(records?.buffer, frame.buffer);
  assert.ok(records?.equals(batch));
});

test("a struct that may be null has a byte before it: -1 for null, 1 where it follows", () => {
  const heartbeat = { errorCode: 0, errorMessage: null, memberId: "m", memberEpoch: 1, heartbeatIntervalMs: 2 };
  const encode = (assignment: { readonly topicPartitions: [] } | null): string => {
    const writer = new WireWriter();
    encodeResponse(consumerGroupHeartbeatApi, 0, writer, { ...heartbeat, assignment });
    return writer.takeBody().toString("hex");
  };
  const before = "00000000" + "0000" + "00" + "026d" + "00000001" + "00000002";
  assert.equal(encode(null), `${before}ff00`);
  assert.equal(encode({ topicPartitions: [] }), `${before}01` + "0100" + "00");
});
