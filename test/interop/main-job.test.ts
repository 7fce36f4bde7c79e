/** The main job: what sensors publish is read by a consumer group, each message once and in its client's order. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { assertFlawless, Checker } from "../support/checker.ts";
import { startFleet } from "../support/fleet.ts";
import { listTopics, startGroupMember } from "../support/kcat.ts";
import { startAgent, startHub } from "../support/programs.ts";
import { eventsRoute } from "../support/test-routes.ts";
import { committedOffsets, openAdmin, recordCount, topicEnds } from "../support/topic-ends.ts";
import { waitUntil } from "../support/wait-until.ts";

const CLIENTS = 50;
const MESSAGES_EACH = 4000;
const DEADLINE_MS = 90_000;
const GROUP = "main-job";

suite("main job", () => {
  test("50 clients publish 200,000 QoS 1 messages: a kcat group reads exactly those, once, in order", async (t) => {
    const hub = await startHub(t);
    const agent = await startAgent(t, { hub, config: { routes: [eventsRoute] } });
    const { topic } = eventsRoute;
    const startMs = performance.now();
    const fleet = startFleet(t, {
      port: agent.mqttPort,
      name: "c",
      clients: CLIENTS,
      qos: 1,
      messagesEach: MESSAGES_EACH,
      windowMax: 20,
    });
    // librdkafka looks for a topic that it did not find only every few minutes; the agent makes it.
    const topicIsThere = async (): Promise<boolean> =>
      (await listTopics(t, hub.kafkaAddress)).some((listed) => listed.topic === topic);
    await waitUntil(topicIsThere, { what: "the topic", deadlineMs: DEADLINE_MS });
    const { child: member, records } = await startGroupMember(t, { address: hub.kafkaAddress, group: GROUP, topic });

    await fleet.finish(DEADLINE_MS);
    const publishedMs = performance.now() - startMs;
    assert.deepEqual([fleet.ackedCount, fleet.resentCount], [CLIENTS * MESSAGES_EACH, 0]);
    const admin = await openAdmin(t, hub.kafkaAddress);
    await waitUntil(
      async () => records.length >= fleet.ackedCount && records.length >= (await recordCount(admin, topic)),
      { what: "all records at the group", deadlineMs: DEADLINE_MS, describe: () => `${records.length} are there` },
    );
    const readMs = performance.now() - startMs;
    member.signal("SIGTERM");
    await member.exitWithin(DEADLINE_MS);

    const checker = new Checker(fleet.histories);
    for (const record of records) checker.add(record);
    const verdict = checker.verdict();
    assertFlawless(verdict);
    assert.equal(verdict.recordCount, CLIENTS * MESSAGES_EACH);
    assert.deepEqual(await committedOffsets(admin, { group: GROUP, topic }), await topicEnds(admin, topic));
    t.diagnostic(`published in ${Math.round(publishedMs)} ms, read by the group in ${Math.round(readMs)} ms`);
    await agent.term();
    await hub.term();
  });
});
