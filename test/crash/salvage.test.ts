/**
 * What may come between a damaged log and one that works: no room for a copy, and kills in the middle of it, again and
 * again. The agent starts by itself in the end, and what is not there is in the ledger. SEED decides when the kills come.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { seededRandom } from "../../bin/demo/random.ts";
import { assertBooksAgree } from "../support/books.ts";
import { PAGE_BYTES, drained, overwrite, publish, somePages, verdictOf } from "../support/damaged-run.ts";
import { AgentProgram, HubProgram, startTributary } from "../support/programs.ts";
import type { PublishHistory } from "../support/publish-history.ts";
import { fillUp, freeBytes, smallDisk } from "../support/small-disk.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const MIB = 1024 * 1024;
const SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const KILLS_MAX = 20;
/** From when the note of it is there. */
const SALVAGE_MS = { from: 0, to: 250 } as const;
const NOTE_MS_MAX = 20_000;
/** Of the program, until it opens the log. */
const START_MS = 600;
const config = { routes: [eventsRoute], uplink: quickUplink, log: { freeBytesMin: MIB } } as const;
const large = { payloadBytes: 1000, isIncompressible: true, windowMax: 50 } as const;

type Run = { readonly hub: HubProgram; readonly agent: AgentProgram; readonly before: readonly PublishHistory[] };

/** An agent that has stopped with a backlog, and of whose log the first page and every 40th of the second half are gone. */
async function damagedAgent(t: TestContext, data: string, messagesEach: number): Promise<Run> {
  const hub = await HubProgram.prepare(t);
  const agent = await AgentProgram.prepare(t, { hub, data, config });
  await agent.start();
  const before = await publish(t, agent, "before", { ...large, messagesEach });
  await agent.term();
  overwrite(path.join(agent.data, "log.db"), (all) => {
    somePages(all, (page) => page.fill(0));
    // Without it, nothing of the file is where SQLite looks for it.
    all.fill(0xa5, 0, PAGE_BYTES);
  });
  return { hub, agent, before };
}

async function assertAllIsAccountedFor(t: TestContext, { hub, agent, before }: Run, sound: number): Promise<number> {
  const after = await publish(t, agent, "after");
  await hub.start();
  await drained(agent);
  const { counts, samples, recordCount } = await verdictOf(t, hub, [...before, ...after]);
  const { missing, ...others } = counts;
  assert.deepEqual(others, { duplicated: 0, unordered: 0, unknown: 0, gap: 0 }, samples.join("\n"));
  const { losses } = await hub.status();
  const lost = losses.reduce((sum, { records }) => sum + records, 0);
  assert.equal(missing, lost, "what is missing is in the ledger");
  assert.ok(
    losses.every(({ reason }) => reason === "corrupt"),
    JSON.stringify(losses),
  );
  assert.ok(missing > 0 && recordCount > sound, `${missing} missing, ${recordCount} there`);
  await assertBooksAgree([agent], hub);
  return missing;
}

suite("salvage", () => {
  test("no room for a copy: the agent starts, what does not fit is declared, and the alarm says so", async (t) => {
    const disk = smallDisk(t, 64);
    const run = await damagedAgent(t, path.join(disk, "agent"), 4000);
    const { agent } = run;
    const logBytes = statSync(path.join(agent.data, "log.db")).size;
    fillUp(disk, 3 * MIB);
    // The reserve is given away for it.
    assert.ok(freeBytes(disk) + 4 * MIB < logBytes / 2, `the log has ${logBytes} bytes`);
    await agent.start();
    const { integrity } = await agent.status();
    const [incident] = integrity.incidents;
    assert.equal(incident?.hadRoom, false);
    assert.ok(incident.records > 0, "what fits is carried over");
    const missing = await assertAllIsAccountedFor(t, run, 100);
    t.diagnostic(`${missing} of 40,000 records of ${Math.round(logBytes / MIB)} MiB are declared lost`);
  });

  test(`killed up to ${KILLS_MAX} times in the middle, seed ${SEED}: it goes on each time, and all is accounted for`, async (t) => {
    const random = seededRandom(SEED);
    const run = await damagedAgent(t, tempDir(t), 20_000);
    const { agent } = run;
    const isUnfinished = (): boolean => existsSync(path.join(agent.data, "log.salvage"));
    let midway = 0;
    while (midway < KILLS_MAX) {
      const child = await startTributary(t, agent.args);
      await waitUntil(isUnfinished, { what: "the salvage to begin", deadlineMs: NOTE_MS_MAX });
      // After the first time the note is there before the program is.
      await delay(random.between(SALVAGE_MS.from, midway === 0 ? SALVAGE_MS.to : START_MS + SALVAGE_MS.to));
      await child.kill9();
      if (!isUnfinished()) break;
      midway++;
    }
    await agent.start();
    const { incidents } = (await agent.status()).integrity;
    assert.equal(incidents[0]?.hadRoom, true);
    assert.ok(readdirSync(path.join(agent.data, "quarantine")).length > 0);
    const missing = await assertAllIsAccountedFor(t, run, 80_000);
    t.diagnostic(`${midway} kills in the middle, ${missing} of 200,000 records are declared lost`);
    assert.ok(midway > 0, "kills hit the salvage");
  });
});
