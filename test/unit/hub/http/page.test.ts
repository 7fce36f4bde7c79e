import assert from "node:assert/strict";
import { test } from "node:test";
import { escapeHtml, renderPage } from "../../../../hub/http/page.ts";
import { soundIntegrity } from "../../../../shared/log/log-integrity.ts";
import type { HubStatus } from "../../../../hub/http/status.ts";

const status: HubStatus = {
  program: "hub",
  version: "1.2.3",
  node: "v24",
  uptimeSeconds: 5,
  clusterId: "abc",
  addresses: {},
  topics: [],
  groups: [],
  agents: [],
  losses: [],
  kafka: {
    connections: 0,
    connectionsTotal: 0,
    connectionsRefusedTotal: 0,
    loginFailuresTotal: 0,
    requestsTotal: {},
    fetchesParked: 0,
    fetchSessions: 0,
    fetchSessionPartitions: 0,
    bytesInTotal: 0,
    bytesOutTotal: 0,
  },
  compaction: { runsTotal: 0, bytesBeforeTotal: 0, bytesAfterTotal: 0, recordsRemovedTotal: 0, lastDurationMs: 0 },
  integrity: soundIntegrity,
  process: { residentBytes: 0, eventLoopDelay: { p50Ms: 0, p99Ms: 0, maxMs: 0 } },
};

test("page: every character that HTML gives a meaning is escaped", () => {
  assert.equal(
    escapeHtml(`<a href="x" title='y'>&</a>`),
    "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;&lt;/a&gt;",
  );
});

test("page: an empty hub says so", () => {
  assert.equal(renderPage(status).match(/None yet\./g)?.length, 4);
});

test("page: of a long list it shows the beginning and how many more there are", () => {
  const topics = Array.from({ length: 130 }, (_, i) => ({ topic: `topic-${i}`, partitions: [], config: {} }));
  const page = renderPage({ ...status, topics });
  assert.ok(page.includes("topic-99") && !page.includes("topic-100") && page.includes("and 30 more"));
});
