/** The HTTP API of a running hub: every route of its OpenAPI document, and each answer held against that document. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Encoder } from "cbor-x";
import { formatCredential } from "../../../../hub/access/scram-credential.ts";
import { startGroupReader } from "../../../support/group-reader.ts";
import { HttpClient } from "../../../support/http-client.ts";
import { startFleet } from "../../../support/fleet.ts";
import { startAgent, startHub } from "../../../support/programs.ts";
import type { HubProgram, ProgramOptions } from "../../../support/programs.ts";
import { testUser } from "../../../support/test-users.ts";
import { eventsRoute, quickUplink } from "../../../support/test-routes.ts";
import { waitUntil } from "../../../support/wait-until.ts";

const DEADLINE_MS = 20_000;
const cbor = new Encoder({ useRecords: false, tagUint8Array: false });

async function startApi(t: TestContext, options: ProgramOptions = {}) {
  const hub = await startHub(t, options);
  return { hub, api: await openApi(hub) };
}

const openApi = (hub: HubProgram): Promise<HttpClient> => HttpClient.open(`http://127.0.0.1:${hub.httpPort}`);

const lines = (...records: readonly unknown[]): string => records.map((each) => `${JSON.stringify(each)}\n`).join("");

type Read = { readonly partition: number; readonly offset: number; readonly key: string; readonly value: unknown };

async function readAll(api: HttpClient, topic: string, query = ""): Promise<Read[]> {
  const found: Read[] = [];
  for (let start = query; ;) {
    const { status, body } = await api.ask(`/topics/${topic}/records?limit=1000${start}`);
    assert.equal(status, 200, JSON.stringify(body));
    found.push(...(body.records as Read[]));
    if (body.isEnd) return found;
    start = `${query.replace(/&(?:time|offset|partition)=\d+/g, "")}&cursor=${body.next}`;
  }
}

suite("http api", () => {
  test("every route, and the document is valid OpenAPI", async (t) => {
    const { hub, api } = await startApi(t);
    const validator = new Validator();
    const checked = await validator.validate(structuredClone(api.document) as Record<string, unknown>);
    assert.deepEqual([checked.valid, checked.errors], [true, undefined]);

    const made = await api.ask("/topics", {
      body: { topic: "plant", partitionCount: 3, config: { "retention.ms": "-1" } },
    });
    assert.deepEqual([made.status, made.body.partitions.length], [201, 3]);
    assert.equal((await api.ask("/topics", { body: { topic: "plant" } })).body.code, "TOPIC_ALREADY_EXISTS");
    await api.ask("/topics", { body: { topic: "other" } });
    const sent = {
      records: [
        { key: "a", value: { c: 1 } },
        { key: "b", value: "on", encoding: "text" },
        { key: "a", value: null },
      ],
    };
    assert.equal((await api.ask("/topics/plant/records", { body: sent })).body.records, 3);
    assert.equal((await readAll(api, "plant")).length, 3);
    assert.deepEqual(
      (await api.ask("/topics?prefix=p")).body.topics.map((each: { topic: string }) => each.topic),
      ["plant"],
    );
    assert.equal((await api.ask("/topics?limit=1")).body.next, "other");
    assert.equal((await api.ask("/topics?limit=1&after=other")).body.next, null);
    assert.equal((await api.ask("/topics/plant")).body.records, 3);

    const reader = await startGroupReader(t, { address: hub.kafkaAddress, group: "readers", topic: "plant" });
    const describe = async () => (await api.ask("/groups/readers")).body;
    await waitUntil(async () => (await describe()).memberList?.[0]?.partitions.length === 3, {
      what: "a member with all partitions",
      deadlineMs: DEADLINE_MS,
    });
    const group = await describe();
    assert.deepEqual([group.state, group.members, group.memberList[0].partitions.length], ["Stable", 1, 3]);
    assert.equal((await api.ask("/groups/readers/offsets", { body: { topic: "plant", to: "earliest" } })).status, 409);
    await reader.stop();
    const reset = await api.ask("/groups/readers/offsets", { body: { topic: "plant", to: { time: 0 } } });
    assert.deepEqual(
      reset.body.offsets.map((each: { offset: number }) => each.offset),
      [0, 0, 0],
    );
    assert.deepEqual(
      (await api.ask("/groups")).body.groups.map((each: { group: string; lag: number }) => [each.group, each.lag]),
      [["readers", 3]],
    );
    assert.equal((await api.ask("/groups/readers", { method: "DELETE" })).status, 204);
    assert.equal((await api.ask("/groups/readers")).body.code, "GROUP_ID_NOT_FOUND");

    const agent = await startAgent(t, { hub, config: { routes: [eventsRoute], uplink: quickUplink } });
    await startFleet(t, { port: agent.mqttPort, clients: 1, windowMax: 1, name: "m-", qos: 1, messagesEach: 5 }).finish(
      DEADLINE_MS,
    );
    await waitUntil(async () => (await api.ask("/agents")).body.agents.length === 1, {
      what: "the agent",
      deadlineMs: DEADLINE_MS,
    });
    const [{ agent: name, producer }] = (await api.ask("/agents")).body.agents;
    assert.equal((await api.ask(`/agents/${producer}`)).body.agent.agent, name);
    assert.deepEqual((await api.ask(`/agents/${name}`)).body.losses, []);
    assert.equal((await api.ask("/agents/nobody")).status, 404);
    assert.deepEqual((await api.ask("/losses")).body, { losses: [] });

    assert.equal((await api.ask("/topics/plant", { method: "DELETE" })).status, 204);
    assert.equal((await api.ask("/topics/plant")).status, 404);
    // Live streams do not end: live.test.ts.
    const unasked = api.operations.filter((each) => !api.asked.has(each) && each !== "followRecords");
    assert.deepEqual(unasked, [], "every operation was asked for");
  });

  test("records by offset, by time, newest first, by key; page by page without a gap", async (t) => {
    const { api } = await startApi(t);
    await api.ask("/topics", { body: { topic: "t", partitionCount: 3 } });
    const records = Array.from({ length: 120 }, (_, i) => ({ key: `k${i % 10}`, value: i, timestamp: 1000 + i }));
    await api.ask("/topics/t/records", { body: { records } });

    const values = (read: readonly Read[]) => read.map(({ value }) => value);
    const all = Array.from({ length: 120 }, (_, i) => i);
    assert.deepEqual(values(await readAll(api, "t")), all);
    assert.deepEqual(values(await readAll(api, "t", "&order=desc")), all.toReversed());
    assert.deepEqual(values(await readAll(api, "t", "&time=1050")), all.slice(50));
    assert.deepEqual(values(await readAll(api, "t", "&time=1050&order=desc")), all.slice(0, 50).toReversed());
    assert.deepEqual(
      values(await readAll(api, "t", "&key=k3")),
      all.filter((i) => i % 10 === 3),
    );
    for (const order of ["asc", "desc"]) {
      const paged: unknown[] = [];
      for (let cursor = ""; ;) {
        const { body } = await api.ask(`/topics/t/records?limit=7&order=${order}${cursor}`);
        paged.push(...values(body.records));
        if (body.isEnd) break;
        cursor = `&cursor=${body.next}`;
      }
      assert.deepEqual(paged, order === "asc" ? all : all.toReversed());
    }
    const [first] = await readAll(api, "t", "&partition=1&offset=5");
    assert.deepEqual([first?.partition, first?.offset], [1, 5]);
    const [newest] = await readAll(api, "t", "&partition=1&offset=5&order=desc");
    assert.equal(newest?.offset, 5);
  });

  test("produced in JSON, CBOR and NDJSON: the same records, where any Kafka client would put them", async (t) => {
    const { api } = await startApi(t);
    await api.ask("/topics", { body: { topic: "t", partitionCount: 4 } });
    const id = "12345678901234567890";
    await api.ask("/topics/t/records", { raw: `{"records":[{"key":"k","value":{"id":${id}}}]}` });
    const bytes = Buffer.from([0, 255]);
    const records = [
      { key: Buffer.from("k"), value: bytes, headers: [{ key: "h", value: bytes }] },
      { key: "k", value: { c: 1 } },
    ];
    assert.equal(
      (await api.ask("/topics/t/records", { raw: cbor.encode({ records }), type: "application/cbor" })).body.records,
      2,
    );
    const many = lines(...Array.from({ length: 1200 }, (_, value) => ({ key: "k", value })));
    const { body } = await api.ask("/topics/t/records", { raw: many, type: "application/x-ndjson" });
    assert.deepEqual([body.records, body.offsets.length, body.offsets[0].offset], [1200, 1, 3]);

    const text = await (await fetch(`${api.url}/topics/t/records?limit=3`)).text();
    assert.ok(text.includes(`{"id":${id}}`), text);
    const read = await readAll(api, "t", "&key=k");
    assert.equal(new Set(read.map(({ partition }) => partition)).size, 1);
    const [, binary, object] = read as unknown as [Read, Read & { encoding: string; headers: unknown[] }, Read];
    assert.deepEqual(
      [binary.value, binary.encoding, binary.headers],
      ["AP8=", "base64", [{ key: "h", value: "AP8=", encoding: "base64" }]],
    );
    assert.deepEqual(object.value, { c: 1 });
  });

  test("acks: none answers at once, and what is wrong with a record is told all the same", async (t) => {
    const { api } = await startApi(t);
    await api.ask("/topics", { body: { topic: "t", partitionCount: 1 } });
    const body = { records: [{ value: 1 }] };
    assert.deepEqual((await api.ask("/topics/t/records?acks=none", { body })).body, { records: 1, offsets: [] });
    const leader = await api.ask("/topics/t/records?acks=leader", { body });
    assert.deepEqual(leader.body.offsets, [{ partition: 0, offset: 1, records: 1 }]);
    assert.equal((await api.ask("/topics/t/records?acks=none", { body: { records: [{ partition: 9 }] } })).status, 404);
    await waitUntil(async () => (await readAll(api, "t")).length === 2, { what: "both", deadlineMs: DEADLINE_MS });
  });

  test("what is malformed is refused with a code and a hint, and nothing of it is stored", async (t) => {
    const { api } = await startApi(t);
    await api.ask("/topics", { body: { topic: "t", partitionCount: 1 } });
    await api.ask("/topics", {
      body: { topic: "compacted", partitionCount: 1, config: { "cleanup.policy": "compact" } },
    });
    const refusals: readonly [path: string, ask: Parameters<HttpClient["ask"]>[1], status: number, detail: RegExp][] = [
      [
        "/topics/t/records",
        { body: { records: [{ value: 1 }, { value: 2, partition: "x" }] } },
        400,
        /records\/1\/partition must be integer/,
      ],
      ["/topics/t/records", { body: { records: [{ value: 1 }, { valeu: 2 }] } }, 400, /not known: valeu/],
      [
        "/topics/t/records",
        { body: { records: [{ value: 1 }, { value: 2, encoding: "base64" }] } },
        400,
        /record 1: .* must be a string/,
      ],
      ["/topics/t/records", { raw: "{" }, 400, /not JSON/],
      ["/topics/t/records", { raw: Buffer.from([0x22, 0xff, 0x22]) }, 400, /not UTF-8/],
      ["/topics/t/records", { raw: "x", type: "text/plain" }, 415, /./],
      ["/topics/t/records", { raw: Buffer.from("9affffffff", "hex"), type: "application/cbor" }, 400, /not CBOR/],
      [
        "/topics/t/records",
        { raw: cbor.encode({ records: [{ key: 5 }] }), type: "application/cbor" },
        400,
        /the body\/records\/0\/key/,
      ],
      ["/topics/t/records", { body: { records: [{ value: "x".repeat(2_000_000) }] } }, 413, /./],
      ["/topics/compacted/records", { body: { records: [{ value: 1 }] } }, 400, /without a key/],
      ["/topics/none/records", { body: { records: [{ value: 1 }] } }, 404, /there is no topic none/],
      ["/topics/t/records?acks=two", { body: { records: [{ value: 1 }] } }, 400, /the query\/acks/],
      ["/topics", { body: { topic: "a b" } }, 400, /the body\/topic/],
      ["/topics", { body: { topic: "t2", partitionCount: 5000 } }, 400, /5000 is not between/],
      ["/topics", { body: { topic: "t2", config: { "retention.ms": "soon" } } }, 400, /retention.ms/],
      ["/topics/t/records?offset=3", {}, 400, /say which one/],
      ["/topics/t/records?partition=7", {}, 404, /none with the number 7/],
      ["/topics/t/records?partition=0&offset=9", {}, 416, /holds the offsets 0 to 0/],
      ["/topics/t/records?cursor=x", {}, 400, /a cursor is/],
      ["/topics/t/records?time=1&cursor=0:1", {}, 400, /only one of them/],
      ["/topics/t/records?mqttTopic=%23/a", {}, 400, /no MQTT topic filter/],
      ["/topics/t/records?limit=1001", {}, 400, /the query\/limit/],
      ["/groups/g/offsets", { body: { topic: "t", to: 99 } }, 416, /not 99/],
      ["/nothing", {}, 404, /there is no GET/],
    ];
    for (const [path, ask, status, detail] of refusals) {
      const answer = await api.ask(path, ask);
      assert.equal(answer.status, status, `${path} ${JSON.stringify(answer.body)}`);
      assert.match(answer.body.detail, detail);
      assert.ok(answer.body.code.length > 0 && answer.body.hint.length > 0);
    }
    assert.deepEqual([await readAll(api, "t"), await readAll(api, "compacted")], [[], []]);
  });

  test("NDJSON: lines before one that is refused are stored, and the answer says so", async (t) => {
    const { api } = await startApi(t);
    await api.ask("/topics", { body: { topic: "t", partitionCount: 1 } });
    const raw = `${lines(...Array.from({ length: 700 }, (_, value) => ({ value })))}{"value":\n${lines({ value: "never" })}`;
    const { status, body } = await api.ask("/topics/t/records", { raw, type: "application/x-ndjson" });
    assert.deepEqual([status, body.details], [400, { stored: [{ partition: 0, offset: 0, records: 700 }] }]);
    assert.match(body.detail, /^line 701 is not JSON/);
    assert.equal((await readAll(api, "t")).length, 700);
  });

  test("a hub with users: who they are, and what each may do, as for Kafka clients", async (t) => {
    const { api } = await startApi(t, { config: { users: await usersConfig() } });
    const anonymous = await api.ask("/topics");
    assert.deepEqual([anonymous.status, anonymous.body.code], [401, "UNAUTHORIZED"]);
    assert.match(anonymous.headers.get("www-authenticate") ?? "", /^Basic /);
    assert.equal((await api.ask("/topics", { user: "admin:wrong" })).status, 401);
    await api.ask("/topics", { user: "admin:admin-password", body: { topic: "plant", partitionCount: 1 } });
    await api.ask("/topics", { user: "admin:admin-password", body: { topic: "secret", partitionCount: 1 } });

    const viewer = { user: "viewer:viewer-password" };
    assert.deepEqual(
      (await api.ask("/topics", viewer)).body.topics.map((each: { topic: string }) => each.topic),
      ["plant"],
    );
    assert.equal((await api.ask("/topics/plant/records", viewer)).status, 200);
    const denied: readonly [string, Parameters<HttpClient["ask"]>[1]][] = [
      ["/topics/secret", {}],
      ["/topics/nothing", {}],
      ["/topics/secret/records", {}],
      ["/topics/plant/records", { body: { records: [{ value: 1 }] } }],
      ["/topics", { body: { topic: "mine" } }],
      ["/topics/plant", { method: "DELETE" }],
      ["/groups/g", {}],
      ["/groups/g", { method: "DELETE" }],
      ["/groups/g/offsets", { body: { topic: "plant", to: "latest" } }],
      ["/agents", {}],
      ["/agents/a", {}],
      ["/losses", {}],
    ];
    for (const [path, ask] of denied) assert.equal((await api.ask(path, { ...ask, ...viewer })).status, 403, path);
    assert.deepEqual((await api.ask("/groups", viewer)).body.groups, []);
  });
});

async function usersConfig() {
  const credentialsOf = async (name: string) => {
    const { credentials } = await testUser(name, `${name}-password`);
    return credentials.map(formatCredential);
  };
  return [
    { name: "admin", credentials: await credentialsOf("admin"), superuser: true },
    {
      name: "viewer",
      credentials: await credentialsOf("viewer"),
      acls: [{ topic: "plant", operations: ["describe", "read"] }],
    },
  ];
}
