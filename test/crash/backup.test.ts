/**
 * A hub that is restored from a backup taken while it ran, as docs/operations.md says. What came after the backup and the
 * agents no longer have is declared, what they still have is sent again, and nothing new is taken for old.
 */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { TestChild } from "../support/child-process.ts";
import { CLIENTS, MESSAGES_EACH, drained, publish, verdictOf } from "../support/damaged-run.ts";
import { startAgent, startHub } from "../support/programs.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";

const BACK_UP_MS_MAX = 30_000;
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

for (const { name, hasTrimmed } of [
  { name: "the agent still has what came after it", hasTrimmed: false },
  { name: "the agent has removed what it had delivered", hasTrimmed: true },
]) {
  test(`a hub restored from a backup that was taken under load; ${name}`, async (t) => {
    const hub = await startHub(t);
    const agent = await startAgent(t, { hub, config: { routes: [eventsRoute], uplink: quickUplink } });
    const before = await publish(t, agent, "before");
    await drained(agent);
    const backup = path.join(tempDir(t), "backup.db");
    const [during] = await Promise.all([publish(t, agent, "during"), backUp(t, hub.data, backup)]);
    const after = await publish(t, agent, "after");
    await drained(agent);
    await assertBooksAgree([agent], hub);

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

    const { counts, samples, recordCount } = await verdictOf(t, hub, [
      ...before,
      ...during,
      ...after,
      ...meanwhile,
      ...last,
    ]);
    const { missing, ...others } = counts;
    assert.deepEqual(others, { duplicated: 0, unordered: 0, unknown: 0, gap: 0 }, samples.join("\n"));
    for (const kept of [before, meanwhile, last]) assert.equal((await verdictOf(t, hub, kept)).counts.missing, 0);
    const { losses, integrity } = await hub.status();
    const lost = losses.reduce((sum, { records }) => sum + records, 0);
    assert.equal(missing, lost, "what is missing is in the ledger");
    assert.ok(
      losses.every(({ reason }) => reason === "rewound"),
      JSON.stringify(losses),
    );
    assert.equal(missing > 0, hasTrimmed, `${missing} missing of ${recordCount}`);
    assert.deepEqual(integrity.incidents, []);
    await assertBooksAgree([agent], hub);
    t.diagnostic(`${missing} of ${5 * CLIENTS * MESSAGES_EACH} are declared as rewound`);
  });
}
