/**
 * QoS 1 messages that a client sends again after the agent was killed between their commit and their PUBACK:
 *
 *   PUBLISH ──▶ commit ──╳ killed        agent starts again        PUBLISH, DUP ──▶ PUBACK, no second record
 *
 * and what must not be taken for one of them. There is no hub: all that is stored is pending.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import type { IConnectPacket, IPublishPacket } from "mqtt-packet";
import { startFleet } from "../support/fleet.ts";
import { AgentProgram, HubProgram } from "../support/programs.ts";
import { connectRaw } from "../support/raw-mqtt.ts";
import type { RawMqtt } from "../support/raw-mqtt.ts";

const DEADLINE_MS = 30_000;
const CLIENT = "sensor";
/** Enough of them for the agent to trust the client's identifiers. */
const FIRST_ID = 101;
const LAST_ID = 112;

async function prepareAgent(t: TestContext): Promise<AgentProgram> {
  const hub = await HubProgram.prepare(t);
  return AgentProgram.prepare(t, { hub });
}

/** The value of this sensor never changes. */
function publish(messageId: number, over: Partial<IPublishPacket> = {}): IPublishPacket {
  const packet = { cmd: "publish", topic: "sensors/1", payload: "21.5", qos: 1, retain: false, dup: false } as const;
  return { ...packet, messageId, ...over };
}

async function connect(t: TestContext, agent: AgentProgram, options: Partial<IConnectPacket> = {}): Promise<RawMqtt> {
  return connectRaw(t, agent.mqttPort, CLIENT, { clean: false, ...options });
}

/** One after the other, each with its PUBACK, and so each with a commit of its own. */
async function publishAll(client: RawMqtt, messageIds: readonly number[], over: Partial<IPublishPacket> = {}) {
  for (const messageId of messageIds) {
    client.send(publish(messageId, over));
    const answer = await client.next();
    assert.deepEqual([answer?.cmd, answer?.messageId], ["puback", messageId]);
  }
}

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** Sends the messages; the agent dies before the last one's PUBACK. */
async function dieBeforeLastAnswer(agent: AgentProgram, client: RawMqtt, messageIds: readonly number[]): Promise<void> {
  await publishAll(client, messageIds.slice(0, -1));
  client.send(publish(messageIds.at(-1)!));
  const { signal } = await agent.process.exitWithin(DEADLINE_MS);
  assert.equal(signal, "SIGKILL", "the agent died at the crash point");
  assert.equal(await client.next(), undefined, "without a PUBACK");
}

async function counts(agent: AgentProgram): Promise<{ stored: number; duplicates: number }> {
  const { log, ingest } = await agent.status();
  return { stored: log.pendingRecords, duplicates: ingest.duplicateMessages };
}

suite("QoS 1 redeliveries over a kill", () => {
  for (const clean of [false, true]) {
    test(`a message that was stored is acknowledged and not stored again, clean session ${clean}`, async (t) => {
      const agent = await prepareAgent(t);
      const ids = range(FIRST_ID, LAST_ID);
      await agent.start({ TRIBUTARY_CRASH_AT: `agent-before-puback:${ids.length}` });
      await dieBeforeLastAnswer(agent, await connect(t, agent, { clean }), ids);

      await agent.start();
      assert.deepEqual(await counts(agent), { stored: ids.length, duplicates: 0 });
      const client = await connect(t, agent, { clean });
      await publishAll(client, [LAST_ID], { dup: true });
      assert.deepEqual(await counts(agent), { stored: ids.length, duplicates: 1 });

      // Killed once more before it could hear of that.
      await agent.kill9();
      await agent.start();
      const again = await connect(t, agent, { clean });
      await publishAll(again, [LAST_ID], { dup: true });
      assert.deepEqual(await counts(agent), { stored: ids.length, duplicates: 1 });
      // New ones: the first attempt of one never arrived, and one has an identifier that was used before.
      await publishAll(again, [LAST_ID + 1], { dup: true });
      await publishAll(again, [LAST_ID + 2, FIRST_ID]);
      assert.deepEqual(await counts(agent), { stored: ids.length + 3, duplicates: 1 });
    });
  }

  test("a new message with other content is stored, whatever its identifier says", async (t) => {
    const agent = await prepareAgent(t);
    const ids = range(FIRST_ID, LAST_ID);
    await agent.start({ TRIBUTARY_CRASH_AT: `agent-before-puback:${ids.length}` });
    await dieBeforeLastAnswer(agent, await connect(t, agent), ids);
    await agent.start();
    await publishAll(await connect(t, agent), [LAST_ID], { dup: true, payload: "21.6" });
    assert.deepEqual(await counts(agent), { stored: ids.length + 1, duplicates: 0 });
  });

  test("from a client that gives all its messages identifier 1, nothing is ever taken for a repetition", async (t) => {
    const agent = await prepareAgent(t);
    const ids = Array.from({ length: 12 }, () => 1);
    await agent.start({ TRIBUTARY_CRASH_AT: `agent-before-puback:${ids.length}` });
    await dieBeforeLastAnswer(agent, await connect(t, agent), ids);
    await agent.start();
    // It may be the last one again, or the next one, which never arrived: the bytes are the same.
    await publishAll(await connect(t, agent), [1], { dup: true });
    assert.deepEqual(await counts(agent), { stored: ids.length + 1, duplicates: 0 });
  });

  test("the last messages of a client are known although others have sent thousands since", async (t) => {
    const agent = await prepareAgent(t);
    await agent.start();
    const client = await connect(t, agent);
    const ids = range(FIRST_ID, LAST_ID);
    await publishAll(client, ids);
    client.socket.destroy();
    const many = { clients: 10, qos: 1, messagesEach: 4000, windowMax: 100, topicOf: () => "busy" } as const;
    const fleet = startFleet(t, { port: agent.mqttPort, name: "busy", ...many });
    await fleet.finish(DEADLINE_MS);
    fleet.close();
    await agent.kill9();
    await agent.start();
    const stored = ids.length + many.clients * many.messagesEach;
    // It never saw the answers of the last five.
    await publishAll(await connect(t, agent), ids.slice(-5), { dup: true });
    assert.deepEqual(await counts(agent), { stored, duplicates: 5 });
  });
});
