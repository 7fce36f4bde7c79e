/** A boot before the network: names that do not resolve, addresses that do not answer; then they do. */
import assert from "node:assert/strict";
import type { LookupFunction } from "node:net";
import test from "node:test";
import { startUplinkAgent, startUplinkHub, storedNumbers, untilStored } from "../../support/uplink-pair.ts";
import { VirtualLog } from "../../support/virtual-log.ts";
import { waitUntil } from "../../support/wait-until.ts";

const TOPIC = "readings";
const waiting = { deadlineMs: 10_000 } as const;

/** What the resolver answers: an error's code, an address, or nothing at all. */
type Answer = { readonly code: string } | { readonly address: string } | "silence";

const stages: { readonly name: string; readonly answer: Answer; readonly code: string; readonly says: RegExp }[] = [
  {
    name: "no name server",
    answer: { code: "EAI_AGAIN" },
    code: "HUB_UNREACHABLE",
    says: /the name server does not answer/,
  },
  { name: "a name nobody knows", answer: { code: "ENOTFOUND" }, code: "HUB_UNREACHABLE", says: /name is not known/ },
  { name: "a name server that says nothing", answer: "silence", code: "TIMEOUT", says: /the name server did not tell/ },
  // TCP cannot go to a group of hosts: the kernel refuses as it does without a route.
  {
    name: "no route",
    answer: { address: "224.0.0.1" },
    code: "HUB_UNREACHABLE",
    says: /there is no network \(ENETUNREACH\)/,
  },
  {
    name: "nobody at the address",
    answer: { address: "127.0.0.9" },
    code: "HUB_UNREACHABLE",
    says: /nothing listens at the hub's address/,
  },
];

test("uplink: a boot before the network -> each reason is told, records are taken, and the network alone starts the drain", async (t) => {
  const hub = await startUplinkHub(t);
  const log = new VirtualLog();
  log.createTopic(TOPIC, 1);
  const partition = log.partition(TOPIC, 0);
  let answer: Answer = { code: "EAI_AGAIN" };
  const lookup: LookupFunction = (name, _options, callback) => {
    assert.equal(name, "hub.example");
    if (answer === "silence") return;
    if ("code" in answer) callback(Object.assign(new Error("from the resolver"), answer), []);
    else callback(null, [{ address: answer.address, family: 4 }]);
  };
  const hubUrl = `ws://hub.example:${hub.port}`;
  const options = { connectTimeoutMs: 1_000 };
  const uplink = await startUplinkAgent(t, hub.port, { log, hubUrl, lookup, options });
  const last = () => uplink.status().lastError;
  for (const [index, stage] of stages.entries()) {
    answer = stage.answer;
    log.append(partition, [index + 1]);
    const isTold = (): boolean => last()?.code === stage.code && stage.says.test(last()?.message ?? "");
    await waitUntil(isTold, { what: stage.name, ...waiting, describe: () => JSON.stringify(last()) });
    assert.equal(uplink.pendingFrom(partition), 0);
  }
  answer = { address: "127.0.0.1" };
  await untilStored(hub.engine, TOPIC, 0, stages.length);
  assert.deepEqual(storedNumbers(hub.engine, TOPIC, 0), [1, 2, 3, 4, 5]);
  assert.equal(uplink.status().lastError, null);
});

test("uplink: nothing listens at the hub's address for many attempts -> the waits stay short, and the hub is found when it comes", async (t) => {
  const gone = await startUplinkHub(t);
  await gone.stop();
  const log = new VirtualLog();
  log.createTopic(TOPIC, 1);
  log.append(log.partition(TOPIC, 0), [1]);
  // With waits that double, the twentieth attempt would come after an hour.
  const options = { retryMinMs: 10, retryMaxMs: 3_600_000 };
  const uplink = await startUplinkAgent(t, gone.port, { log, options, random: () => 0.5 });
  await waitUntil(() => uplink.status().failures >= 20, { what: "twenty attempts", deadlineMs: 30_000 });
  const hub = await startUplinkHub(t, { port: gone.port });
  await untilStored(hub.engine, TOPIC, 0, 1);
});
