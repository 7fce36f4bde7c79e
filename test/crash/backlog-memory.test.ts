/**
 * What a gateway needs to get rid of a backlog: the package as it is published, because that is what runs on a Pi. BACKLOG_BYTES
 * says how large it is: 5e9 takes some minutes and 15 GB of disk.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { assertBooksAgree } from "../support/books.ts";
import { startFleet } from "../support/fleet.ts";
import { AgentProgram, HubProgram } from "../support/programs.ts";
import { rssBytes } from "../support/rss.ts";
import { eventsRoute } from "../support/test-routes.ts";
import { waitUntil } from "../support/wait-until.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const CLIENTS = 50;
/** From a tenth of the usual 300 MB on the memory does not grow any more. */
const BACKLOG_BYTES = Number(process.env["BACKLOG_BYTES"] ?? 300e6);
const PAYLOAD_BYTES = 1000;
const MESSAGES_EACH = Math.ceil(BACKLOG_BYTES / CLIENTS / PAYLOAD_BYTES);
/** The payloads, and what the log needs besides. */
const LOG_BYTES_MAX = 2 * BACKLOG_BYTES;
/** Of the samples; what is more for a moment is V8 moving what it keeps. */
const DRAINING_BYTES_MAX = 130e6;
const MOMENT_BYTES_MAX = 150e6;
const SAMPLES_PER_STATUS = 50;
const START_MS_MAX = 5000;
/** For filling and for draining; a small part of what is usual. */
const BYTES_PER_MS_MIN = 1000;
const DEADLINE_MS = 120_000 + BACKLOG_BYTES / BYTES_PER_MS_MIN;

test(`a backlog of ${BACKLOG_BYTES / 1e6} MB: after a kill the agent starts in seconds and drains it in less than 130 MB`, async (t) => {
  execFileSync(process.execPath, ["scripts/build.ts"], { cwd: REPOSITORY, stdio: "ignore" });
  const program = fileURLToPath(new URL("../../dist/bin/tributary.js", import.meta.url));
  const hub = await HubProgram.prepare(t);
  const config = { routes: [eventsRoute], log: { bytesMax: LOG_BYTES_MAX } };
  const agent = await AgentProgram.prepare(t, { hub, program, config });
  await agent.start();
  const load = { name: "sensor", clients: CLIENTS, messagesEach: MESSAGES_EACH, qos: 1, windowMax: 50 } as const;
  const fleet = startFleet(t, { port: agent.mqttPort, ...load, payloadBytes: PAYLOAD_BYTES, isIncompressible: true });
  await fleet.finish(DEADLINE_MS);
  fleet.close();
  const count = CLIENTS * MESSAGES_EACH;
  await agent.kill9();

  const startMs = performance.now();
  await agent.start();
  const startedMs = performance.now() - startMs;
  assert.ok(startedMs < START_MS_MAX, `ready after ${startedMs} ms`);
  assert.equal((await agent.status()).log.pendingRecords, count);

  await hub.start();
  const drainStartMs = performance.now();
  const samples: number[] = [];
  await waitUntil(
    async () => {
      // Who asks for the status in each of them measures the answers.
      const isAsked = samples.push(rssBytes(agent.process.pid)) % SAMPLES_PER_STATUS === 0;
      return isAsked && (await agent.status()).log.pendingRecords === 0;
    },
    { what: "the backlog to be drained", deadlineMs: DEADLINE_MS },
  );
  const sorted = samples.toSorted((a, b) => a - b);
  const [median = 0, most = 0] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  const text = `${samples.length} samples, median ${Math.round(median / 1e6)} MB, most ${Math.round(most / 1e6)} MB`;
  const drainedSeconds = Math.round((performance.now() - drainStartMs) / 1000);
  t.diagnostic(`${count} messages; ready after ${Math.round(startedMs)} ms; drained in ${drainedSeconds} s; ${text}`);
  assert.ok(samples.length > 10, text);
  assert.ok(median < DRAINING_BYTES_MAX && most < MOMENT_BYTES_MAX, text);
  await assertBooksAgree([agent], hub);
});
