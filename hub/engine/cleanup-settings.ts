/** What becomes of a topic's old records: its configuration, parsed. Pure. */
import type { CompactionPolicy } from "../../shared/log/compaction-policy.ts";
import type { TopicConfig } from "./engine.ts";

/** Kafka's own defaults of these keys; Kafka writes Long.MAX_VALUE for "no limit". */
export const cleanupDefaults = {
  "cleanup.policy": "delete",
  "min.cleanable.dirty.ratio": "0.5",
  "min.compaction.lag.ms": "0",
  "max.compaction.lag.ms": "9223372036854775807",
  "delete.retention.ms": "86400000",
} as const;

export type CleanupSettings = {
  /** Old records go by `retention.ms` and `retention.bytes`. */
  readonly deletes: boolean;
  /**
   * Of each key the newest record stays, whatever its age; so do all records without a key. Kafka clients may not write
   * those (hub/kafka/record-keys.ts), but agents may, and a topic may have been of another policy before: what was
   * accepted is never dropped in silence, and an agent whose batch was refused would never get on.
   */
  readonly compacts: boolean;
  readonly compaction: CompactionPolicy;
};

/** A topic's configuration object is replaced when it changes, so it identifies its parsed form. */
const parsed = new WeakMap<TopicConfig, CleanupSettings>();

export function cleanupSettings(config: TopicConfig): CleanupSettings {
  const known = parsed.get(config);
  if (known !== undefined) return known;
  const valueOf = (key: keyof typeof cleanupDefaults): string => config[key] ?? cleanupDefaults[key];
  const policies = new Set(
    valueOf("cleanup.policy")
      .split(",")
      .map((each) => each.trim()),
  );
  const settings = {
    deletes: policies.has("delete"),
    compacts: policies.has("compact"),
    compaction: {
      dirtyRatioMin: Number(valueOf("min.cleanable.dirty.ratio")),
      lagMsMin: Number(valueOf("min.compaction.lag.ms")),
      lagMsMax: Number(valueOf("max.compaction.lag.ms")),
      deleteRetentionMs: Number(valueOf("delete.retention.ms")),
    },
  };
  parsed.set(config, settings);
  return settings;
}
