import assert from "node:assert/strict";
import { test } from "node:test";
import { oneValue, renderMetrics } from "../../../shared/metrics-text.ts";
import type { MetricTable } from "../../../shared/metrics-text.ts";

type Status = { readonly sent: number | null; readonly topics: Readonly<Record<string, number>> };

const table: MetricTable<Status> = {
  sent_total: { type: "counter", help: "Sent.", labels: [], read: ({ sent }) => oneValue(sent) },
  topic_bytes: {
    type: "gauge",
    help: "Of a topic.",
    labels: ["topic"],
    read: ({ topics }) => Object.entries(topics).map(([topic, value]) => ({ value, labels: { topic } })),
  },
};

test("metrics text: a counter and a gauge with labels", async () => {
  const { text, contentType } = await renderMetrics(table, { sent: 3, topics: { a: 1, 'b"\n': 2 } });
  assert.match(contentType, /^text\/plain; version=0\.0\.4/);
  assert.equal(
    text.trim(),
    `# HELP sent_total Sent.
# TYPE sent_total counter
sent_total 3

# HELP topic_bytes Of a topic.
# TYPE topic_bytes gauge
topic_bytes{topic="a"} 1
topic_bytes{topic="b\\"\\n"} 2`,
  );
});

test("metrics text: a value that is not known is absent, not 0", async () => {
  const { text } = await renderMetrics(table, { sent: null, topics: {} });
  assert.doesNotMatch(text, /^[^#\s]/m);
});
