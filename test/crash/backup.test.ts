/**
 * A hub that is restored from a backup taken while it ran, as docs/operations.md says. What came after the backup and the
 * agents no longer have is declared, what they still have is sent again, and nothing new is taken for old: not by the hub,
 * and not by consumers that have read on from the backup and know offsets that it does not.
 */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { TestChild } from "../support/child-process.ts";
import { CLIENTS, MESSAGES_EACH, drained, publish, verdictOf } from "../support/damaged-run.ts";
import { startGroupMember } from "../support/kcat.ts";
import { decodePayload } from "../support/payload.ts";
import type { PayloadIdentity } from "../support/payload.ts";
import { startAgent, startHub, startTributary } from "../support/programs.ts";
import type { PublishHistory } from "../support/publish-history.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const BACK_UP_MS_MAX = 30_000;
/** Clients wait up to 10 s before they try a broker again. */
const READ_MS_MAX = 60_000;
const PARTITIONS = 4;
const { topic } = eventsRoute;
/** As `sqlite3 log.db "VACUUM INTO 'backup.db'"`, a program of its own. */
const BACK_UP = `
const [log, target] = process.argv.slice(1);
new (require("better-sqlite3"))(log, { readonly: true }).prepare("VACUUM INTO ?").run(target);
`;

async function backUp(t: TestContext, data: string, target: string): Promise<void> {
  const args = ["--eval", BACK_UP, path.join(data, "log.db"), target];
  const child = await TestChild.start(t, { command: process.execPath, args });
  const { code } = await child.exitWithin(BACK_UP_MS_MAX);
  assert.equal(code, 0, child.describe());
}

type Reader = { readonly child: TestChild; readonly records: readonly Pick<PayloadIdentity, "client" | "sequence">[] };

/** Follows the topic on its own: nobody but itself knows how far it is. */
async function startFollower(t: TestContext, address: string): Promise<Reader> {
  const records: PayloadIdentity[] = [];
  const args = ["consume", topic, "--format", "value", "--kafka", address];
  return { child: await startTributary(t, args, {}, (line) => void records.push(decodePayload(line))), records };
}

async function hasRead({ child, records }: Reader, histories: readonly PublishHistory[]): Promise<void> {
  const wanted = histories.flatMap(({ client, sentCount }) =>
    Array.from({ length: sentCount }, (_, sequence) => `${client} ${sequence}`),
  );
  const missing = (): string[] => {
    const read = new Set(records.map(({ client, sequence }) => `${client} ${sequence}`));
    return wanted.filter((each) => !read.has(each));
  };
  await waitUntil(() => missing().length === 0, {
    what: "a consumer to have read everything",
    deadlineMs: READ_MS_MAX,
    describe: () => `${missing().length} of ${wanted.length} missing; ${child.describe()}`,
  });
}

for (const { name, hasTrimmed } of [
  { name: "the agent still has what came after it", hasTrimmed: false },
  { name: "the agent has removed what it had delivered", hasTrimmed: true },
]) {
  test(`a hub restored from a backup that was taken under load; ${name}`, async (t) => {
    const hub = await startHub(t);
    const agent = await startAgent(t, { hub, config: { routes: [eventsRoute], uplink: quickUplink } });
    const before = await publish(t, agent, "before");
    const follower = await startFollower(t, hub.kafkaAddress);
    const member = await startGroupMember(t, { address: hub.kafkaAddress, group: "restored", topic });
    await drained(agent);
    const backup = path.join(tempDir(t), "backup.db");
    const [during] = await Promise.all([publish(t, agent, "during"), backUp(t, hub.data, backup)]);
    const after = await publish(t, agent, "after");
    await drained(agent);
    await assertBooksAgree([agent], hub);
    // Both are ahead of the backup.
    for (const reader of [follower, member]) await hasRead(reader, [...before, ...during, ...after]);

    await hub.term();
    // It removes at the latest when it stops.
    if (hasTrimmed) await agent.restart();
    // The agent goes on meanwhile, and what it has not delivered is not lost with the hub's disk.
    const meanwhile = await publish(t, agent, "meanwhile");
    for (const file of readdirSync(hub.data)) rmSync(path.join(hub.data, file), { recursive: true });
    mkdirSync(hub.data, { recursive: true });
    copyFileSync(backup, path.join(hub.data, "log.db"));
    await hub.start();
    await drained(agent);
    const last = await publish(t, agent, "last");
    await drained(agent);

    for (const reader of [follower, member]) await hasRead(reader, [...meanwhile, ...last]);

    const { counts, samples, recordCount } = await verdictOf(t, hub, [
      ...before,
      ...during,
      ...after,
      ...meanwhile,
      ...last,
    ]);
    const { missing, ...others } = counts;
    const { gap, ...wrong } = others;
    assert.deepEqual(wrong, { duplicated: 0, unordered: 0, unknown: 0 }, samples.join("\n"));
    assert.equal(gap, PARTITIONS, "each partition goes on far behind what was seen of it");
    for (const kept of [before, meanwhile, last]) assert.equal((await verdictOf(t, hub, kept)).counts.missing, 0);
    const { losses, integrity } = await hub.status();
    const lost = losses.reduce((sum, { records }) => sum + records, 0);
    assert.equal(missing, lost, "what is missing is in the ledger");
    assert.ok(
      losses.every(({ reason }) => reason === "rewound"),
      JSON.stringify(losses),
    );
    assert.equal(missing > 0, hasTrimmed, `${missing} missing of ${recordCount}`);
    assert.deepEqual(
      integrity.incidents.map(({ cause }) => cause),
      ["log.db was put here from elsewhere, such as a backup: consumers may have seen what came after it"],
    );
    await assertBooksAgree([agent], hub);
    t.diagnostic(`${missing} of ${5 * CLIENTS * MESSAGES_EACH} are declared as rewound`);
  });
}
