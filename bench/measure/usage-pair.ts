/** What edge and hub used between two moments, for each message. */
import { readUsage, usageSince } from "./process-usage.ts";
import type { Usage } from "./process-usage.ts";
import { socketBytesTo } from "./socket-bytes.ts";
import type { SocketBytes } from "./socket-bytes.ts";
import type { Pipeline } from "../peers/pipeline.ts";
import type { Values } from "../report/results.ts";

const MIB = 1024 * 1024;
const MILLION = 1e6;

export type PairUsage = { readonly edge: Usage; readonly hub: Usage; readonly uplink: SocketBytes };

export function readPair(pipeline: Pipeline): PairUsage {
  return {
    edge: readUsage(pipeline.edgePid()),
    hub: readUsage(pipeline.hubPid()),
    uplink: socketBytesTo(pipeline.uplinkPort),
  };
}

export function costPerMessage(before: PairUsage, after: PairUsage, messages: number): Values {
  const edge = usageSince(before.edge, after.edge);
  const hub = usageSince(before.hub, after.hub);
  return {
    edgeCpu: (edge.cpuSeconds / messages) * MILLION,
    hubCpu: (hub.cpuSeconds / messages) * MILLION,
    edgeRss: edge.residentBytes / MIB,
    hubRss: hub.residentBytes / MIB,
    edgeDisk: edge.diskBytes / messages,
    uplink: (after.uplink.up - before.uplink.up) / messages,
  };
}

export const costMetrics = [
  { key: "edgeCpu", title: "edge cpu s/M", digits: 1, better: "less", isGuarded: true },
  { key: "hubCpu", title: "hub cpu s/M", digits: 1, better: "less", isGuarded: true },
  { key: "edgeRss", title: "edge RSS MiB", digits: 0, better: "less" },
  { key: "hubRss", title: "hub RSS MiB", digits: 0, better: "less" },
  { key: "edgeDisk", title: "edge disk B/msg", digits: 0, better: "less", isGuarded: true },
  { key: "uplink", title: "uplink B/msg", digits: 0, better: "less", isGuarded: true },
] as const;
