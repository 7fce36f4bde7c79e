/**
 * The books of agents and hub after a drain (G3). With agents as the only producers, what they have delivered of a
 * partition is what the hub has stored there, and what they have dropped is in the hub's ledger.
 */
import assert from "node:assert/strict";
import type { AgentProgram, HubProgram } from "./programs.ts";

type HubStatus = Awaited<ReturnType<HubProgram["status"]>>;

export async function assertBooksAgree(
  agents: readonly Pick<AgentProgram, "status">[],
  hub: Pick<HubProgram, "status">,
): Promise<void> {
  const [hubStatus, ...statuses] = await Promise.all([hub.status(), ...agents.map((agent) => agent.status())]);
  const delivered = new Map<string, number>();
  let dropped = 0;
  for (const { log, ledger } of statuses) {
    assert.deepEqual(ledger.differences, []);
    assert.equal(ledger.pending, 0, "nothing is pending after a drain");
    dropped += ledger.dropped;
    const byReason = ledger.losses.reduce((sum, { records }) => sum + records, 0);
    assert.equal(byReason, ledger.dropped, "the losses by their reasons are all that was dropped");
    for (const { topic, balances } of log.topics) {
      for (const { partition, accepted, ...balance } of balances) {
        const place = `${topic}/${partition}`;
        assert.equal(accepted, balance.delivered + balance.pending + balance.dropped, place);
        delivered.set(place, (delivered.get(place) ?? 0) + balance.delivered);
      }
    }
  }
  for (const { topic, partitions } of hubStatus.topics) {
    for (const { partition, highWatermark } of partitions) {
      const place = `${topic}/${partition}`;
      const stored = highWatermark - skippedOffsets(hubStatus, topic, partition);
      assert.equal(stored, delivered.get(place) ?? 0, `${place}: stored at the hub = delivered by the agents`);
    }
  }
  const declared = hubStatus.losses.reduce((sum, { records }) => sum + records, 0);
  assert.equal(declared, dropped, "in the hub's ledger = dropped by the agents");
}

/** Left out on purpose where the hub did not know how far it had come. */
function skippedOffsets({ integrity }: HubStatus, topic: string, partition: number): number {
  return integrity.incidents
    .flatMap(({ skipped }) => skipped)
    .filter((range) => range.topic === topic && range.partition === partition)
    .reduce((sum, { from, to }) => sum + to + 1 - from, 0);
}
