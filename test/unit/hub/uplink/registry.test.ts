import assert from "node:assert/strict";
import test from "node:test";
import { AGENTS_KNOWN_MAX, AgentRegistry } from "../../../../hub/uplink/registry.ts";
import { VirtualTimers } from "../../../support/virtual-timers.ts";

const named = { agent: "raspberrypi", instance: "1", version: "1", address: "192.0.2.1" } as const;
const introduction = (producerId: bigint) => ({ ...named, producerId });

test("registry: agents of one name are told apart by their producer id", () => {
  const registry = new AgentRegistry(new VirtualTimers());
  registry.connected(introduction(1n));
  registry.connected(introduction(2n));
  assert.deepEqual(
    registry.list().map(({ agent, producer, isConnected }) => ({ agent, producer, isConnected })),
    [
      { agent: "raspberrypi", producer: "1", isConnected: true },
      { agent: "raspberrypi", producer: "2", isConnected: true },
    ],
  );
});

test("registry: an agent that comes again keeps its counts", () => {
  const registry = new AgentRegistry(new VirtualTimers());
  const known = registry.connected(introduction(1n));
  known.counters.records = 5;
  registry.disconnected(known);
  assert.equal(registry.list()[0]?.isConnected, false);
  registry.connected(introduction(1n));
  const [info] = registry.list();
  assert.equal(info?.records, 5);
  assert.equal(info?.connections, 2);
});

test("registry: beyond its bound the agent that was gone longest is forgotten, never a connected one", () => {
  const registry = new AgentRegistry(new VirtualTimers());
  registry.connected(introduction(0n));
  const gone = registry.connected(introduction(1n));
  registry.disconnected(gone);
  for (let id = 2; id <= AGENTS_KNOWN_MAX; id++) registry.connected(introduction(BigInt(id)));
  const producers = new Set(registry.list().map(({ producer }) => producer));
  assert.equal(producers.size, AGENTS_KNOWN_MAX);
  assert.ok(producers.has("0"));
  assert.ok(!producers.has("1"));
});
