/**
 * The agent's buffer cannot hurt the box (G4): whatever comes in, the log's files stay within `log.bytesMax` and leave
 * `log.freeBytesMin` to others; and what does not fit is in the ledger, on both sides (G3).
 */
import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, readdirSync, rmSync, statSync, statfsSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { HubProgram, startAgent } from "../support/programs.ts";
import type { AgentProgram } from "../support/programs.ts";
import { smallDisk } from "../support/small-disk.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const MIB = 1024 * 1024;
const DEADLINE_MS = 60_000;
const PAYLOAD_BYTES = 2000;
const { topic } = eventsRoute;

/** Of everything in the directory, at this moment. */
function bytesIn(directory: string): number {
  let bytes = 0;
  for (const { name } of readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isFile())) {
    bytes += statSync(path.join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}

/** The most that was in the directory while `work` went on. */
async function peakOf(directory: string, work: () => Promise<void>): Promise<number> {
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, bytesIn(directory))), 5);
  await work().finally(() => clearInterval(timer));
  return Math.max(peak, bytesIn(directory));
}

async function publish(t: TestContext, agent: AgentProgram, messagesEach: number) {
  const load = { port: agent.mqttPort, clients: 20, qos: 1, messagesEach, windowMax: 20 } as const;
  const fleet = startFleet(t, { ...load, name: "s", payloadBytes: PAYLOAD_BYTES, isIncompressible: true });
  await fleet.finish(DEADLINE_MS);
  fleet.close();
  return fleet;
}

async function drain(agent: AgentProgram, hub: HubProgram): Promise<void> {
  await hub.start();
  await waitUntil(async () => (await agent.status()).ledger.pending === 0, {
    what: "the agent to have delivered what it kept",
    deadlineMs: DEADLINE_MS,
  });
  await assertBooksAgree([agent], hub);
}

/** Nothing twice, nothing out of order, nothing unknown; what is missing is in the ledger. */
async function assertOnlyDeclaredIsMissing(
  t: TestContext,
  hub: HubProgram,
  fleet: Awaited<ReturnType<typeof publish>>,
) {
  const checker = new Checker(fleet.histories, { isLossy: true });
  for (const record of await readAll(t, { address: hub.kafkaAddress, topic })) checker.add(record);
  const { counts, recordCount, ackedCount, samples } = checker.verdict();
  const none = { missing: 0, duplicated: 0, unordered: 0, unknown: 0, gap: 0 };
  assert.deepEqual({ ...counts, missing: 0 }, none, samples.join("\n"));
  const declared = (await hub.status()).losses.reduce((sum, { records }) => sum + records, 0);
  // Of a message that was stored twice (QoS 1), one may have been dropped.
  const twiceMax = fleet.resentCount;
  const within = (value: number, from: number): boolean => value >= from && value <= from + twiceMax;
  assert.ok(
    within(declared, counts.missing),
    `${declared} declared, ${counts.missing} missing, ${twiceMax} sent again`,
  );
  assert.ok(within(recordCount + declared, ackedCount), `${recordCount} + ${declared}, ${ackedCount} acknowledged`);
  assert.ok(declared > 0 && recordCount > 0, `${declared} declared lost, ${recordCount} arrived`);
}

suite("bounded buffer", () => {
  for (const { overflow, bytesMax } of [
    { overflow: "drop-oldest", bytesMax: 1_000_000 },
    { overflow: "drop-oldest", bytesMax: 8 * MIB },
    { overflow: "drop-newest", bytesMax: 1_000_000 },
    { overflow: "drop-newest", bytesMax: 8 * MIB },
  ] as const) {
    test(`${overflow}, a cap of ${bytesMax} bytes: all files together stay below it, and both sides count what was lost`, async (t) => {
      const hub = await HubProgram.prepare(t);
      const data = tempDir(t);
      const config = { log: { bytesMax }, routes: [{ ...eventsRoute, overflow }], uplink: quickUplink };
      const agent = await startAgent(t, { hub, data, config });
      // Random bytes, three times what fits.
      const messagesEach = Math.ceil((3 * bytesMax) / PAYLOAD_BYTES / 20);
      let fleet: Awaited<ReturnType<typeof publish>> | undefined;
      const peak = await peakOf(data, async () => {
        fleet = await publish(t, agent, messagesEach);
        await agent.kill9();
        await agent.start();
        await drain(agent, hub);
      });
      t.diagnostic(`at most ${peak} bytes in the agent's directory`);
      assert.ok(peak <= bytesMax, `${peak} bytes`);
      await assertOnlyDeclaredIsMissing(t, hub, fleet!);
    });
  }

  test("block: nobody is answered beyond the cap, and everybody once there is room", async (t) => {
    const hub = await HubProgram.prepare(t);
    const data = tempDir(t);
    const bytesMax = 4 * MIB;
    const config = { log: { bytesMax }, routes: [{ ...eventsRoute, overflow: "block" }], uplink: quickUplink };
    const agent = await startAgent(t, { hub, data, config });
    const load = { port: agent.mqttPort, clients: 20, qos: 1, messagesEach: 300, windowMax: 20 } as const;
    const fleet = startFleet(t, { ...load, name: "s", payloadBytes: PAYLOAD_BYTES, isIncompressible: true });
    const isBlocked = async (): Promise<boolean> => (await agent.status()).ingest.isWithoutRoom;
    await waitUntil(isBlocked, { what: "the log to be full", deadlineMs: DEADLINE_MS });
    assert.ok(fleet.ackedCount < 20 * 300);
    await hub.start();
    await fleet.finish(DEADLINE_MS);
    fleet.close();
    await waitUntil(async () => (await agent.status()).ledger.pending === 0, {
      what: "everything to be delivered",
      deadlineMs: DEADLINE_MS,
    });
    await assertBooksAgree([agent], hub);
    assert.deepEqual((await agent.status()).ledger.losses, []);
    const checker = new Checker(fleet.histories);
    for (const record of await readAll(t, { address: hub.kafkaAddress, topic })) checker.add(record);
    // So much at once is more than a small log takes: some are refused and sent again, and what a client sends again among
    // its first messages is not recognised.
    const { counts, recordCount, allowedDuplicateCount } = checker.verdict();
    assert.deepEqual(counts, { missing: 0, duplicated: 0, unordered: 0, unknown: 0, gap: 0 });
    assert.equal(recordCount - allowedDuplicateCount, 20 * 300);
  });

  test("others fill the disk: the log leaves the floor free, goes on within its own file, and grows again when there is room", async (t) => {
    const disk = smallDisk(t, 96);
    const freeBytes = (): number => statfsSync(disk).bavail * statfsSync(disk).bsize;
    const hub = await HubProgram.prepare(t);
    const data = path.join(disk, "agent");
    mkdirSync(data);
    const config = {
      log: { bytesMax: 1024 * MIB, freeBytesMin: 32 * MIB },
      routes: [{ ...eventsRoute, overflow: "drop-oldest" }],
      uplink: quickUplink,
    };
    const agent = await startAgent(t, { hub, data, config });
    const other = path.join(disk, "of-somebody-else");
    while (freeBytes() > 40 * MIB) appendFileSync(other, Buffer.alloc(MIB));
    const fleet = await publish(t, agent, 1500);
    // The floor, less what is written between two looks, and what a checkpoint takes.
    t.diagnostic(`${freeBytes()} bytes are free`);
    assert.ok(freeBytes() > 20 * MIB, `${freeBytes()} bytes are free`);
    const capBefore = (await agent.status()).log.capBytes;
    rmSync(other);
    await waitUntil(async () => (await agent.status()).log.capBytes > capBefore, {
      what: "the log to grow again",
      deadlineMs: DEADLINE_MS,
    });
    await drain(agent, hub);
    await assertOnlyDeclaredIsMissing(t, hub, fleet);
  });
});
