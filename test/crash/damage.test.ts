/**
 * Running programs whose logs are damaged while they are down: they start by themselves, what can be read arrives once and in
 * order, what cannot is in the ledger, and nothing new is taken for old.
 */
import assert from "node:assert/strict";
import { readdirSync, rmSync, statSync, truncateSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { onCleanUp } from "../support/clean-up.ts";
import {
  CLIENTS,
  MESSAGES_EACH,
  PAGE_BYTES,
  drained,
  overwrite,
  publish,
  somePages,
  verdictOf,
} from "../support/damaged-run.ts";
import { readValues } from "../support/kcat.ts";
import { HubProgram, startAgent, startHub, startTributary } from "../support/programs.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { kafkaJs } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";

const DEADLINE_MS = 30_000;
const config = { routes: [eventsRoute], uplink: quickUplink };

type Damage = {
  readonly name: string;
  readonly isTold: boolean;
  /** In order: what the WAL holds would make good for it. */
  readonly isClosed?: boolean;
  readonly harm: (file: string) => void;
};

const damages: readonly Damage[] = [
  {
    name: "pages are zeroed",
    isTold: true,
    harm: (file) => overwrite(file, (all) => somePages(all, (page) => page.fill(0))),
  },
  {
    name: "bits are flipped",
    isTold: false,
    harm: (file) => overwrite(file, (all) => somePages(all, (page) => page.writeUInt8(page.readUInt8(700) ^ 4, 700))),
  },
  {
    name: "the first page is garbage",
    isTold: true,
    isClosed: true,
    harm: (file) => overwrite(file, (all) => all.fill(0xa5, 0, PAGE_BYTES)),
  },
  {
    name: "its last third is cut off",
    isTold: true,
    harm: (file) => truncateSync(file, Math.floor((statSync(file).size * 2) / 3)),
  },
];

suite("damage", () => {
  for (const { name, isTold, isClosed = false, harm } of damages) {
    test(`the agent's log, with a backlog, and ${name}: what can be read arrives, the rest is declared corrupt`, async (t) => {
      const hub = await HubProgram.prepare(t);
      const agent = await startAgent(t, { hub, config });
      const before = await publish(t, agent, "before");
      // Twice: what was in the WAL is in the database by then.
      await agent.restart();
      const later = await publish(t, agent, "later");
      await (isClosed ? agent.term() : agent.kill9());
      harm(path.join(agent.data, "log.db"));
      await agent.start();
      const after = await publish(t, agent, "after");
      await hub.start();
      await drained(agent);

      const { counts, samples } = await verdictOf(t, hub, [...before, ...later, ...after]);
      const { missing, ...others } = counts;
      assert.deepEqual(others, { duplicated: 0, unordered: 0, unknown: 0, gap: 0 }, samples.join("\n"));
      const { losses } = await hub.status();
      const corrupt = losses.reduce((sum, { records }) => sum + records, 0);
      assert.ok(
        losses.every(({ reason }) => reason === "corrupt"),
        JSON.stringify(losses),
      );
      assert.equal(missing, corrupt, "what is missing is in the ledger");
      assert.ok(missing < 2 * CLIENTS * MESSAGES_EACH, `${missing} are missing`);
      await assertBooksAgree([agent], hub);
      const { integrity } = await agent.status();
      t.diagnostic(`${missing} lost of ${3 * CLIENTS * MESSAGES_EACH}; incidents: ${integrity.incidents.length}`);
      if (isTold) {
        assert.ok(integrity.incidents.length > 0);
        assert.ok(readdirSync(path.join(agent.data, "quarantine")).length > 0);
      }
    });
  }

  test("damage that the agent finds only while it runs: it goes on, or ends and mends it with the next start", async (t) => {
    const hub = await HubProgram.prepare(t);
    const agent = await startAgent(t, { hub, config });
    const before = await publish(t, agent, "before");
    await agent.term();
    overwrite(path.join(agent.data, "log.db"), (all) => somePages(all, (page) => page.fill(0)));
    await hub.start();
    let starts = 0;
    await waitUntil(
      async () => {
        // As a supervisor does.
        if (!agent.isRunning) {
          starts++;
          await agent.start();
        }
        const { log, uplink } = await agent.status();
        return uplink?.isConnected === true && log.pendingRecords === 0;
      },
      { what: "the backlog to be delivered or declared", deadlineMs: DEADLINE_MS, describe: () => `${starts} starts` },
    );
    const { counts, samples } = await verdictOf(t, hub, before);
    const { missing, ...others } = counts;
    assert.deepEqual(others, { duplicated: 0, unordered: 0, unknown: 0, gap: 0 }, samples.join("\n"));
    const { losses } = await hub.status();
    assert.equal(
      losses.reduce((sum, { records }) => sum + records, 0),
      missing,
    );
    assert.ok(missing > 0 && starts <= 3, `${missing} missing, ${starts} starts`);
    t.diagnostic(`${missing} lost of ${before.length * MESSAGES_EACH}, ${starts} starts`);
  });

  test("the agent's WAL is removed: nothing new is taken for old, and the alarm says so", async (t) => {
    const hub = await startHub(t);
    const agent = await startAgent(t, { hub, config });
    const first = await publish(t, agent, "first");
    await agent.restart();
    const second = await publish(t, agent, "second");
    await drained(agent);
    await agent.kill9();
    rmSync(path.join(agent.data, "log.db-wal"));
    await agent.start();
    const third = await publish(t, agent, "third");
    await drained(agent);

    const { counts, samples } = await verdictOf(t, hub, [...first, ...second, ...third]);
    assert.deepEqual(counts, { missing: 0, duplicated: 0, unordered: 0, unknown: 0, gap: 0 }, samples.join("\n"));
    const [incident] = (await agent.status()).integrity.incidents;
    assert.match(incident?.cause ?? "", /log\.db-wal is missing/);
  });

  test("the hub's WAL is removed: offsets that were read are not used again, and consumers pass over those left out", async (t) => {
    const hub = await startHub(t);
    const kafka = kafkaJs(hub.kafkaAddress);
    const produce = async (values: readonly string[]): Promise<void> => {
      const producer = kafka.producer();
      await producer.connect();
      await producer.send({ topic: "left-out", messages: values.map((value) => ({ value, partition: 0 })) });
      await producer.disconnect();
    };
    await produce(["a", "b"]);
    await hub.restart();
    await produce(["lost", "lost"]);
    await hub.kill9();
    rmSync(path.join(hub.data, "log.db-wal"));
    await hub.start();

    const found: { readonly offset: number; readonly value: string }[] = [];
    const consumer = kafka.consumer({ groupId: "readers" });
    onCleanUp(t, () => consumer.disconnect());
    await consumer.connect();
    await consumer.subscribe({ topic: "left-out", fromBeginning: true });
    await consumer.run({
      eachMessage: async ({ message }) => {
        found.push({ offset: Number(message.offset), value: String(message.value) });
      },
    });
    const has = (count: number): Promise<unknown> =>
      waitUntil(() => found.length >= count, { what: `${count} records`, deadlineMs: DEADLINE_MS });
    await has(2);
    await produce(["c"]);
    await has(3);
    assert.deepEqual(
      found.map(({ value }) => value),
      ["a", "b", "c"],
    );
    const lines: string[] = [];
    const args = ["consume", "left-out", "--kafka", hub.kafkaAddress, "--until-end", "--format", "value"];
    const command = await startTributary(t, args, {}, (line) => lines.push(line));
    await command.exitWithin(DEADLINE_MS);
    assert.deepEqual(lines, ["a", "b", "c"]);
    assert.deepEqual(await readValues(t, { address: hub.kafkaAddress, topic: "left-out" }), ["a", "b", "c"]);
    assert.ok((found[2]?.offset ?? 0) > 3, "the offsets of what was lost are not used again");
    const { integrity } = await hub.status();
    assert.match(integrity.incidents[0]?.cause ?? "", /log\.db-wal is missing/);
  });

  for (const { name, isClosed = false, harm } of damages.slice(-2)) {
    test(`the hub's log, and ${name}: it starts, keeps what can be read, and agents go on`, async (t) => {
      const hub = await startHub(t);
      const agent = await startAgent(t, { hub, config });
      const before = await publish(t, agent, "before");
      await drained(agent);
      await hub.restart();
      const later = await publish(t, agent, "later");
      await drained(agent);
      await (isClosed ? hub.term() : hub.kill9());
      harm(path.join(hub.data, "log.db"));
      const after = await publish(t, agent, "after");
      await hub.start();
      await drained(agent);

      const { counts, samples } = await verdictOf(t, hub, [...before, ...later, ...after]);
      const { missing, gap, ...others } = counts;
      assert.deepEqual(others, { duplicated: 0, unordered: 0, unknown: 0 }, samples.join("\n"));
      const afterOnly = await verdictOf(t, hub, after);
      assert.equal(afterOnly.counts.missing, 0, "what the agent still had is all there");
      const { integrity } = await hub.status();
      t.diagnostic(`${missing} missing, ${gap} gaps, ${JSON.stringify(integrity).slice(0, 300)}`);
    });
  }
});
