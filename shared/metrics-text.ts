/**
 * Metrics as a table: name, type, help, labels, and how to read the values from a program's status. Values are read when
 * somebody asks, so that they cost the hot paths nothing; docs are made from the same table.
 */
import { Counter, Gauge, Registry } from "prom-client";

export type MetricValue = { readonly value: number; readonly labels?: Readonly<Record<string, string>> };

export type MetricRow<Status> = {
  readonly type: "counter" | "gauge";
  readonly help: string;
  /** Bounded ones only: topic, partition, group, code; never a client id or an offset. */
  readonly labels: readonly string[];
  readonly read: (status: Status) => readonly MetricValue[];
};

export type MetricTable<Status> = Readonly<Record<string, MetricRow<Status>>>;

export type MetricsText = { readonly contentType: string; readonly text: string };

/** A metric without labels; absent while its value is not known. */
export function oneValue(value: number | null | undefined): readonly MetricValue[] {
  return value === null || value === undefined ? [] : [{ value }];
}

/** The status in Prometheus' text format. */
export async function renderMetrics<Status>(table: MetricTable<Status>, status: Status): Promise<MetricsText> {
  const registry = new Registry();
  for (const [name, { type, help, labels, read }] of Object.entries(table)) {
    const settings = { name, help, labelNames: [...labels], registers: [registry] };
    const values = read(status);
    const metric = type === "counter" ? new Counter(settings) : new Gauge(settings);
    // A metric without labels begins with 0, which is not the same as a value that is not known.
    if (values.length === 0 && labels.length === 0) metric.remove();
    for (const { value, labels: own = {} } of values) {
      if (metric instanceof Counter) metric.inc(own, value);
      else metric.set(own, value);
    }
  }
  return { contentType: registry.contentType, text: await registry.metrics() };
}
