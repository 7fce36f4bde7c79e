/**
 * A disk that takes no writes for good: the agent takes nothing new, and delivers what it has. What it sends it cannot
 * write down, so the next start must neither send it twice nor leave anything out.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { Checker, assertFlawless } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import { readAll } from "../support/kcat.ts";
import { AgentProgram, HubProgram } from "../support/programs.ts";
import { smallDisk } from "../support/small-disk.ts";
import { tempDir } from "../support/temp-dir.ts";
import { eventsRoute, quickUplink } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";
import { Ext4Disk } from "./power/ext4-disk.ts";
import { DiskFaults } from "./power/faults.ts";
import { recordedBy } from "./power/native.ts";

const DEADLINE_MS = 30_000;
const { topic } = eventsRoute;

async function publish(t: TestContext, agent: AgentProgram, name: string) {
  const fleet = startFleet(t, { port: agent.mqttPort, name, clients: 5, qos: 1, messagesEach: 200, windowMax: 5 });
  await fleet.finish(DEADLINE_MS);
  fleet.close();
  return fleet.histories;
}

async function drained(agent: AgentProgram): Promise<void> {
  const what = "everything to be delivered";
  await waitUntil(async () => (await agent.status()).ledger.pending === 0, { what, deadlineMs: DEADLINE_MS });
}

function remountable(t: TestContext) {
  const directory = smallDisk(t, 96);
  const remount = (mode: "ro" | "rw"): void => void execFileSync("mount", ["-o", `remount,${mode}`, directory]);
  return { directory, fail: () => remount("ro"), heal: () => remount("rw") };
}

function givingUp(t: TestContext) {
  const disk = Ext4Disk.make(t);
  return { directory: disk.directory, fail: () => disk.abort(), heal: () => disk.remount() };
}

suite("a disk that takes no writes", () => {
  for (const error of ["EIO", "EROFS"] as const) {
    test(`${error} for good, found while it runs: what is stored is forwarded, once, and the books agree when the disk is back`, async (t) => {
      const hub = await HubProgram.prepare(t);
      const outside = tempDir(t);
      const data = path.join(tempDir(t), "agent");
      mkdirSync(data);
      const faults = new DiskFaults(path.join(outside, "control"));
      const env = recordedBy(path.join(outside, "journal"), data, faults.file);
      const config = { routes: [eventsRoute], uplink: quickUplink };
      const agent = await AgentProgram.prepare(t, { hub, data, config, env });
      await agent.start();
      // The hub has heard of it: a partition needs its epoch on the disk.
      await hub.start();
      const histories = [...(await publish(t, agent, "a"))];
      await drained(agent);
      await hub.kill9();
      histories.push(...(await publish(t, agent, "b")));

      faults.failWrites(error);
      const late = startFleet(t, {
        port: agent.mqttPort,
        name: "late",
        clients: 1,
        qos: 1,
        messagesEach: 5,
        windowMax: 1,
      });
      const { code } = await agent.process.exitWithin(DEADLINE_MS);
      assert.equal(code, 1, agent.process.describe());
      assert.equal(late.ackedCount, 0);

      // As its supervisor does.
      await agent.start();
      const health = await fetch(`${agent.adminUrl}/healthz`);
      assert.equal(health.status, 503);
      assert.match(await health.text(), /takes no writes/);
      await hub.start();
      await drained(agent);
      const checker = new Checker([...histories, ...late.histories]);
      for (const record of await readAll(t, { address: hub.kafkaAddress, topic })) checker.add(record);
      assertFlawless(checker.verdict());
      // Killed: what it has delivered, it could not remember.
      await agent.kill9();
      await agent.start();
      await drained(agent);

      faults.heal();
      await agent.process.exitWithin(DEADLINE_MS);
      assert.match(agent.process.stderrTail, /takes writes again/);
      await agent.start();
      await late.finish(DEADLINE_MS);
      late.close();
      histories.push(...late.histories, ...(await publish(t, agent, "c")));
      await drained(agent);
      const all = new Checker(histories);
      for (const record of await readAll(t, { address: hub.kafkaAddress, topic })) all.add(record);
      assertFlawless(all.verdict());
      assert.deepEqual((await agent.status()).integrity.incidents, []);
      await assertBooksAgree([agent], hub);
    });
  }

  for (const { name, how, makeDisk } of [
    { name: "mounted read-only, found at the start of an agent that was killed", how: "killed", makeDisk: remountable },
    {
      name: "mounted read-only, found at the start of an agent that was stopped",
      how: "stopped",
      makeDisk: remountable,
    },
    { name: "an ext4 that gives up and mounts itself read-only", how: "killed", makeDisk: givingUp },
  ] as const) {
    test(`${name}: what is stored is forwarded`, async (t) => {
      const disk = makeDisk(t);
      const hub = await HubProgram.prepare(t);
      const config = { routes: [eventsRoute], uplink: quickUplink };
      const agent = await AgentProgram.prepare(t, { hub, data: path.join(disk.directory, "agent"), config });
      await hub.start();
      await agent.start();
      const histories = [...(await publish(t, agent, "a"))];
      await drained(agent);
      await hub.kill9();
      histories.push(...(await publish(t, agent, "b")));
      if (how === "stopped") await agent.term();
      else await agent.kill9();
      disk.fail();
      await hub.start();
      await agent.start();
      await drained(agent);
      await agent.kill9();
      await agent.start();
      await drained(agent);
      await agent.kill9();
      disk.heal();
      await agent.start();
      histories.push(...(await publish(t, agent, "c")));
      await drained(agent);
      const checker = new Checker(histories);
      for (const record of await readAll(t, { address: hub.kafkaAddress, topic })) checker.add(record);
      assertFlawless(checker.verdict());
      assert.deepEqual((await agent.status()).integrity.incidents, []);
      await assertBooksAgree([agent], hub);
    });
  }
});
