/** Records as they come, over HTTP: a real EventSource, over restarts of the hub. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { EventSource } from "eventsource";
import { onCleanUp } from "../../../support/clean-up.ts";
import { HttpClient } from "../../../support/http-client.ts";
import { startHub } from "../../../support/programs.ts";
import { rssBytes } from "../../../support/rss.ts";
import { waitUntil } from "../../../support/wait-until.ts";

const DEADLINE_MS = 30_000;
const PARTITIONS = 3;

type Seen = { readonly partition: number; readonly offset: number; readonly value: number };

async function startTopic(t: TestContext) {
  const hub = await startHub(t);
  const api = await HttpClient.open(`http://127.0.0.1:${hub.httpPort}`);
  await api.ask("/topics", { body: { topic: "t", partitionCount: PARTITIONS } });
  return { hub, api };
}

function follow(t: TestContext, url: string) {
  const source = new EventSource(url);
  onCleanUp(t, () => source.close());
  const seen: Seen[] = [];
  const others: string[] = [];
  source.addEventListener("message", ({ data }) => seen.push(JSON.parse(data) as Seen));
  for (const kind of ["gap", "problem", "unreadable"]) {
    source.addEventListener(kind, ({ data }) => others.push(`${kind} ${data}`));
  }
  const opened = new Promise<void>((resolve) => source.addEventListener("open", () => resolve(), { once: true }));
  return { source, seen, others, opened };
}

const waitFor = (what: string, condition: () => boolean): Promise<unknown> =>
  waitUntil(condition, { what, deadlineMs: DEADLINE_MS });

suite("live over http", () => {
  test("an EventSource sees each record once and in order, over two kills and a restart of the hub", async (t) => {
    const { hub, api } = await startTopic(t);
    const { seen, others } = follow(t, `${api.url}/topics/t/events?from=earliest`);
    let sent = 0;
    const produce = async (count: number): Promise<void> => {
      const records = Array.from({ length: count }, () => ({ key: `k${sent % 20}`, value: sent++ }));
      assert.equal((await api.ask("/topics/t/records", { body: { records } })).status, 200);
    };
    for (const end of [() => hub.kill9(), () => hub.term(), () => hub.kill9()]) {
      const before = seen.length;
      await produce(300);
      await waitFor("the first of them", () => seen.length > before);
      await end();
      await hub.start();
      await produce(100);
    }
    await waitFor("all of them", () => seen.length >= sent);
    assert.deepEqual(
      seen.map(({ value }) => value).toSorted((a, b) => a - b),
      Array.from({ length: sent }, (_, i) => i),
    );
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const offsets = seen.filter((each) => each.partition === partition).map(({ offset }) => offset);
      assert.deepEqual(
        offsets,
        offsets.map((_, index) => index),
      );
    }
    assert.deepEqual(others, []);
  });

  test("from now on, by key; a topic that is deleted is told", async (t) => {
    const { api } = await startTopic(t);
    await api.ask("/topics/t/records", { body: { records: [{ key: "a", value: 1 }] } });
    const { seen, others, source } = follow(t, `${api.url}/topics/t/events?key=a`);
    await new Promise<void>((resolve) => source.addEventListener("open", () => resolve(), { once: true }));
    await api.ask("/topics/t/records", {
      body: {
        records: [
          { key: "b", value: 2 },
          { key: "a", value: 3 },
        ],
      },
    });
    await waitFor("the record", () => seen.length > 0);
    assert.deepEqual(
      seen.map(({ value }) => value),
      [3],
    );
    await api.ask("/topics/t", { method: "DELETE" });
    await waitFor("the end", () => others.length > 0);
    assert.match(others[0] ?? "", /^problem .*UNKNOWN_TOPIC_OR_PARTITION/);
  });

  test("what cannot be followed is refused before the stream begins", async (t) => {
    const { api } = await startTopic(t);
    for (const [path, status] of [
      ["/topics/none/events", 404],
      ["/topics/t/events?cursor=0:5", 416],
      ["/topics/t/events?cursor=9:0", 404],
      ["/topics/t/events?mqttTopic=a%23", 400],
      ["/topics/t/events?from=middle", 400],
    ] as const) {
      assert.equal((await api.ask(path)).status, status, path);
    }
  });

  test("a reader that does not read costs the hub one piece of data, and others go on", async (t) => {
    const { hub, api } = await startTopic(t);
    const slow = connect(hub.httpPort, "127.0.0.1");
    onCleanUp(t, () => slow.destroy());
    slow.pause();
    slow.write("GET /api/v1/topics/t/events?from=earliest HTTP/1.1\r\nhost: hub\r\n\r\n");
    await once(slow, "connect");
    const { seen } = follow(t, `${api.url}/topics/t/events?from=earliest`);
    const before = rssBytes(hub.process.pid);
    const value = "x".repeat(90_000);
    for (let i = 0; i < 60; i++) {
      await api.ask("/topics/t/records", {
        body: { records: Array.from({ length: 10 }, (_, k) => ({ key: `k${k}`, value })) },
      });
    }
    await waitFor("54 MB at the one that reads", () => seen.length === 600);
    const grownMb = (rssBytes(hub.process.pid) - before) / 1e6;
    t.diagnostic(`the hub grew by ${grownMb.toFixed(0)} MB`);
    assert.ok(grownMb < 150, `${grownMb} MB`);
    assert.ok(slow.bytesRead < 10e6);
  });
});
