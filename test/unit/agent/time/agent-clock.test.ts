import assert from "node:assert/strict";
import path from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { AgentClock } from "../../../../agent/time/agent-clock.ts";
import { clockTable } from "../../../../agent/time/clock-table.ts";
import { isProvisional, resolveTimestamp } from "../../../../shared/batch/provisional-time.ts";
import { StreamError } from "../../../../shared/errors.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { DirectExtensionLog } from "../../../support/direct-extension-log.ts";
import { tempDir } from "../../../support/temp-dir.ts";

const NOW_MS = Date.UTC(2026, 10, 23, 8);
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** It has run before, and knew the time. */
const saved = { savedAtMs: NOW_MS - DAY_MS, offsetMs: NOW_MS - 9 * DAY_MS, bootId: "boot-0" };

/** Another process of this boot knew the time. */
const knownInThisBoot = { savedAtMs: NOW_MS - 1000, offsetMs: NOW_MS - 5000, bootId: "boot-1" };

/** A gateway: a log that outlives its processes, and clocks that the test turns. */
function gateway(t: TestContext) {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const log = new DirectExtensionLog(path.join(tempDir(t), "log.db"), [clockTable]);
  onCleanUp(t, () => log.close());
  const machine = {
    /** What time it really is. */
    nowMs: NOW_MS,
    /** What the system clock shows too much. */
    aheadMs: 0,
    bootedAtMs: NOW_MS - 5000,
    startedAtMs: NOW_MS,
    bootId: "boot-1" as string | undefined,
    synchronizedAtMs: undefined as number | undefined,
    /** Asked for; reading them costs more than a message may. */
    bootReads: 0,
  };
  const partition = { id: 1, topic: "t", partition: 0, logStartOffset: 0, logEndOffset: 0, bytes: 0 };
  const topics = new Map([["t", { name: "t", id: Buffer.alloc(16), partitions: [partition], config: {} }]]);
  const stored = { topics, call: log.call.bind(log), query: log.query.bind(log) };
  const clock = {
    wallMs: () => machine.nowMs + machine.aheadMs,
    monotonicMs: () => machine.nowMs - machine.startedAtMs,
  };
  const facts = () => ({
    bootMs: () => {
      machine.bootReads++;
      return machine.nowMs - machine.bootedAtMs;
    },
    bootId: machine.bootId,
    synchronizedAtMs: () => machine.synchronizedAtMs,
  });
  let isNew = true;
  const start = async (before: typeof saved | null = saved): Promise<AgentClock> => {
    machine.startedAtMs = machine.nowMs;
    if (isNew && before !== null) {
      const { failure } = log;
      log.failure = undefined;
      await log.call([{ extension: "clock", method: "save", args: before }]);
      log.failure = failure;
    }
    isNew = false;
    const options = { log: stored, clock, logger: silentLogger() };
    const opened = await AgentClock.open({ ...options, facts: facts() });
    onCleanUp(t, () => opened.close());
    return opened;
  };
  const pass = (ms: number): void => {
    machine.nowMs += ms;
    t.mock.timers.tick(1000);
  };
  const reboot = (bootId: string, offMs: number): void => {
    machine.nowMs += offMs;
    machine.bootedAtMs = machine.nowMs - 5000;
    machine.bootId = bootId;
  };
  const hubSpeaks = (to: AgentClock): void => {
    const asked = clock.monotonicMs();
    machine.nowMs += 200;
    to.hear({ hubMs: machine.nowMs - 100, askedAtMs: asked, answeredAtMs: asked + 200 });
  };
  /** The time of a stamp, as the hub would get it. */
  const told = (by: AgentClock, stamp: number) => resolveTimestamp(stamp, by.sessions());
  return { machine, log, partition, topics, start, pass, reboot, hubSpeaks, told };
}

/** Lets calls to the log go through. */
const written = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The same for calls that come one after the other. */
async function allWritten(): Promise<void> {
  for (let call = 0; call < 5; call++) await written();
}

suite("agent clock", () => {
  test("a clock that is right: records have its time, and it is remembered for the next boot", async (t) => {
    const { machine, start, pass, reboot } = gateway(t);
    const first = await start(knownInThisBoot);
    assert.equal(first.stamp(), NOW_MS);
    pass(HOUR_MS);
    assert.deepEqual([first.stamp(), first.wallMs()], [NOW_MS + HOUR_MS, NOW_MS + HOUR_MS]);
    await first.close();
    reboot("boot-2", DAY_MS);
    machine.aheadMs = -2 * DAY_MS;
    const second = await start();
    assert.deepEqual(second.status(), {
      isKnown: false,
      source: null,
      doubt: "behind",
      systemAheadMs: -DAY_MS,
      sessions: 1,
    });
    // The best guess for people: it has not been earlier since.
    assert.equal(second.wallMs(), NOW_MS + HOUR_MS);
  });

  test("the first start of all: nobody has confirmed the clock; if the hub does, records leave with what it said", async (t) => {
    const { machine, partition, start, pass, hubSpeaks, told } = gateway(t);
    const first = await start(null);
    const stamps = [first.stamp(), (pass(60_000), first.stamp())];
    partition.logEndOffset = 2;
    assert.ok(stamps.every(isProvisional));
    assert.deepEqual([first.wallMs(), first.status().doubt], [machine.nowMs, "unconfirmed"]);
    const second = await start();
    hubSpeaks(second);
    assert.deepEqual([second.status().doubt, second.stamp()], [null, machine.nowMs]);
    await written();
    const third = await start();
    assert.deepEqual(
      stamps.map((stamp) => told(third, stamp)),
      [0, 60_000].map((ms) => ({ timestamp: NOW_MS + ms, quality: undefined })),
    );
  });

  test("the first start of all, with the date of the card's image: records leave with the time at which they came", async (t) => {
    const { machine, start, pass, hubSpeaks, told } = gateway(t);
    machine.aheadMs = -100 * DAY_MS;
    const clock = await start(null);
    const stamp = clock.stamp();
    pass(HOUR_MS);
    hubSpeaks(clock);
    assert.deepEqual(told(clock, stamp), { timestamp: NOW_MS, quality: "corrected" });
    assert.equal(clock.stamp(), machine.nowMs);
  });

  for (const { name, aheadMs, quality } of [
    { name: "right", aheadMs: 0, quality: undefined },
    { name: "ten days ahead", aheadMs: 10 * DAY_MS, quality: "corrected" },
    { name: "hours behind", aheadMs: -5 * HOUR_MS, quality: "corrected" },
  ]) {
    test(`a later boot with a clock that could be right, and is ${name}: records leave with the time at which they came`, async (t) => {
      const { machine, start, pass, hubSpeaks, told } = gateway(t);
      machine.aheadMs = aheadMs;
      const clock = await start();
      assert.equal(clock.status().doubt, "unconfirmed");
      const stamp = clock.stamp();
      pass(HOUR_MS);
      hubSpeaks(clock);
      assert.deepEqual(told(clock, stamp), { timestamp: NOW_MS, quality });
      assert.equal(clock.stamp(), machine.nowMs);
    });
  }

  test("without a clock: stamps are provisional until the hub speaks, and get their time then", async (t) => {
    const { machine, log, start, pass, hubSpeaks, told } = gateway(t);
    machine.aheadMs = -NOW_MS;
    const clock = await start();
    assert.deepEqual(log.calls.at(-1), { method: "put", durability: "fsync" });
    const stamps = [0, 1, 2].map(() => {
      pass(HOUR_MS);
      return clock.stamp();
    });
    assert.ok(stamps.every(isProvisional));
    pass(HOUR_MS);
    hubSpeaks(clock);
    assert.deepEqual([clock.stamp(), clock.status().source], [machine.nowMs, "hub"]);
    assert.deepEqual(
      stamps.map((stamp) => told(clock, stamp)),
      [1, 2, 3].map((hours) => ({ timestamp: NOW_MS + hours * HOUR_MS, quality: "corrected" })),
    );
    pass(HOUR_MS);
    assert.equal(clock.stamp(), machine.nowMs);
  });

  test("killed without having learnt the time: the next process of the same boot learns it for both", async (t) => {
    const { machine, partition, start, pass, hubSpeaks, told } = gateway(t);
    machine.aheadMs = -NOW_MS;
    const killed = await start();
    const stamp = killed.stamp();
    partition.logEndOffset = 2;
    pass(HOUR_MS);
    const next = await start();
    const later = next.stamp();
    assert.ok(later > stamp && isProvisional(later));
    hubSpeaks(next);
    await written();
    assert.deepEqual(told(next, stamp), { timestamp: NOW_MS, quality: "corrected" });
    // A third one knows it from the log.
    pass(HOUR_MS);
    const third = await start();
    assert.deepEqual([third.stamp(), third.status().doubt], [machine.nowMs, "jumped"]);
    assert.deepEqual(told(third, later), { timestamp: NOW_MS + HOUR_MS, quality: "corrected" });
  });

  test("off before the time was known: the order and the distances are right, and the record says that the hour is a guess", async (t) => {
    const { machine, start, pass, reboot, hubSpeaks, told } = gateway(t);
    const known = await start(knownInThisBoot);
    pass(HOUR_MS);
    await known.close();
    reboot("boot-2", DAY_MS);
    machine.aheadMs = -machine.nowMs;
    const lost = await start();
    const stamps = [lost.stamp(), (pass(1000), lost.stamp())];
    reboot("boot-3", DAY_MS);
    const last = await start();
    hubSpeaks(last);
    assert.deepEqual(
      stamps.map((stamp) => told(last, stamp)),
      [0, 1000].map((ms) => ({ timestamp: NOW_MS + HOUR_MS + ms, quality: "estimated" })),
    );
  });

  test("a jump of the system clock reaches no record, not even the first one after it", async (t) => {
    const { machine, start, pass } = gateway(t);
    const clock = await start(knownInThisBoot);
    for (const jumpMs of [5000 * DAY_MS, -HOUR_MS]) {
      machine.aheadMs = jumpMs;
      assert.equal(clock.stamp(), machine.nowMs);
      pass(60_000);
      assert.deepEqual([clock.stamp(), clock.status().doubt], [machine.nowMs, "jumped"]);
      assert.equal(clock.status().systemAheadMs, jumpMs);
      machine.aheadMs = 0;
      pass(1000);
      assert.deepEqual([clock.stamp(), clock.status().doubt], [machine.nowMs, null]);
    }
  });

  test("NTP sets the clock: known, and followed from there", async (t) => {
    const { machine, start, pass, told } = gateway(t);
    machine.aheadMs = -NOW_MS;
    const clock = await start();
    const stamp = clock.stamp();
    machine.aheadMs = 0;
    machine.synchronizedAtMs = machine.nowMs;
    pass(1000);
    assert.deepEqual([clock.status().source, clock.stamp()], ["ntp", machine.nowMs]);
    assert.deepEqual(told(clock, stamp), { timestamp: NOW_MS, quality: "corrected" });
  });

  test("a restored clock is not believed by a later process of the boot either", async (t) => {
    const { machine, start, pass, reboot } = gateway(t);
    const first = await start(knownInThisBoot);
    await first.close();
    reboot("boot-2", DAY_MS);
    machine.aheadMs = -DAY_MS;
    assert.equal((await start()).status().doubt, "restored");
    pass(HOUR_MS);
    assert.equal((await start()).status().doubt, "restored");
  });

  test("a full log is no reason not to start: the session is written when there is room", async (t) => {
    const { machine, log, start, pass } = gateway(t);
    machine.aheadMs = -NOW_MS;
    log.failure = new StreamError("LOG_FULL", "disk");
    const clock = await start();
    assert.ok(isProvisional(clock.stamp()));
    pass(1000);
    await written();
    log.failure = undefined;
    pass(1000);
    await written();
    const next = await start();
    assert.equal(next.sessions().length, 1);
  });

  test("a session that a full log did not take goes with the records that are stamped with it", async (t) => {
    const { machine, log, start, pass, hubSpeaks, told } = gateway(t);
    machine.aheadMs = -NOW_MS;
    log.failure = new StreamError("LOG_FULL", "disk");
    const clock = await start();
    const stamp = clock.stamp();
    const [call] = clock.calls();
    assert.equal(call?.method, "put");
    log.failure = undefined;
    await log.call(clock.calls());
    assert.deepEqual(told(await start(), stamp).quality, "estimated", "the next process knows it");
    pass(1000);
    await allWritten();
    assert.deepEqual(clock.calls(), [], "it is on the disk");
    hubSpeaks(clock);
    await allWritten();
    assert.deepEqual(clock.calls(), []);
  });

  test("what became of a session is written when there is room, and not taken back by what it was before", async (t) => {
    const { machine, log, start, pass, reboot, hubSpeaks, told } = gateway(t);
    machine.aheadMs = -NOW_MS;
    log.failure = new StreamError("LOG_FULL", "disk");
    const clock = await start();
    const stamp = clock.stamp();
    const stampedAtMs = machine.nowMs;
    pass(5000);
    hubSpeaks(clock);
    await allWritten();
    log.failure = undefined;
    pass(1000);
    await allWritten();
    reboot("boot-2", HOUR_MS);
    const { timestamp, quality } = told(await start(), stamp);
    assert.equal(quality, "corrected");
    assert.ok(Math.abs(timestamp - stampedAtMs) < 1000, `${timestamp - stampedAtMs} ms off`);
  });

  test("sessions are kept while what is stamped with them is not in the log", async (t) => {
    const { machine, start, pass, hubSpeaks } = gateway(t);
    machine.aheadMs = -NOW_MS;
    const clock = await start();
    let isPast = false;
    clock.follow({ mark: () => 7, isPast: (mark) => mark === 7 && isPast });
    hubSpeaks(clock);
    pass(HOUR_MS);
    assert.equal(clock.status().sessions, 1);
    isPast = true;
    pass(1000);
    assert.equal(clock.status().sessions, 0);
  });

  test("sessions are forgotten when the last record of theirs has left the log, though new ones always wait", async (t) => {
    const { machine, partition, start, pass, hubSpeaks } = gateway(t);
    machine.aheadMs = -NOW_MS;
    const clock = await start();
    partition.logEndOffset = 100;
    pass(120_000);
    hubSpeaks(clock);
    partition.logStartOffset = 100;
    pass(30_000);
    assert.equal(clock.status().sessions, 1, "what came before may be on its way to the log");
    partition.logEndOffset = 150;
    pass(60_000);
    partition.logStartOffset = 149;
    partition.logEndOffset = 200;
    pass(1000);
    assert.equal(clock.status().sessions, 1);
    partition.logStartOffset = 150;
    partition.logEndOffset = 250;
    pass(1000);
    assert.equal(clock.status().sessions, 0);
    await written();
    assert.equal((await start()).sessions().length, 0);
  });

  test("sessions: a topic that is deleted needs them no more", async (t) => {
    const { machine, partition, topics, start, pass, hubSpeaks } = gateway(t);
    machine.aheadMs = -NOW_MS;
    const clock = await start();
    partition.logEndOffset = 100;
    hubSpeaks(clock);
    pass(120_000);
    assert.equal(clock.status().sessions, 1);
    topics.delete("t");
    pass(1000);
    assert.equal(clock.status().sessions, 0);
  });

  test("a clock that is unset, or has jumped, costs a record no look at the system", async (t) => {
    const { machine, start, pass, hubSpeaks } = gateway(t);
    machine.aheadMs = -NOW_MS;
    const clock = await start();
    const readsOf = (work: () => void): number => {
      const before = machine.bootReads;
      work();
      return machine.bootReads - before;
    };
    const stamps = (): void => {
      for (let record = 0; record < 100; record++) {
        machine.nowMs++;
        clock.stamp();
      }
    };
    assert.equal(readsOf(stamps), 0);
    hubSpeaks(clock);
    machine.aheadMs = 10 * DAY_MS;
    assert.equal(readsOf(stamps), 1, "where it jumps");
    assert.equal(readsOf(stamps), 0);
    pass(1000);
    assert.equal(clock.stamp(), machine.nowMs);
  });

  test("a container that starts anew under the same kernel: what was known of the time before means nothing to it", async (t) => {
    const { machine, start, pass, reboot, hubSpeaks, told } = gateway(t);
    const first = await start(knownInThisBoot);
    pass(HOUR_MS);
    await first.close();
    reboot("boot-1", HOUR_MS);
    const second = await start();
    assert.equal(second.status().doubt, "unconfirmed");
    const stamp = second.stamp();
    const stampedAtMs = machine.nowMs;
    hubSpeaks(second);
    assert.deepEqual(told(second, stamp), { timestamp: stampedAtMs, quality: undefined });
    assert.equal(second.stamp(), machine.nowMs);
  });

  test("a hub without a clock is not believed: records wait for a better one, or keep the time they had", async (t) => {
    const { machine, start } = gateway(t);
    const clock = await start(knownInThisBoot);
    clock.hear({ hubMs: 60_000, askedAtMs: 0, answeredAtMs: 0 });
    assert.deepEqual([clock.stamp(), clock.status().source], [machine.nowMs, "system"]);
  });
});
