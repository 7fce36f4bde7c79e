/**
 * The hub's metrics, all in one table; docs are made from it. Values are read from the status when somebody asks.
 */
import { quantilesOf } from "../../shared/event-loop-delay.ts";
import { oneValue } from "../../shared/metrics-text.ts";
import type { MetricTable, MetricValue } from "../../shared/metrics-text.ts";
import type { HubStatus, PartitionStatus } from "./status.ts";

const ofPartitions = (status: HubStatus, read: (partition: PartitionStatus) => number): readonly MetricValue[] =>
  status.topics.flatMap(({ topic, partitions }) =>
    partitions.map((each) => ({ value: read(each), labels: { topic, partition: String(each.partition) } })),
  );

export const hubMetrics = {
  hub_uptime_seconds: {
    type: "gauge",
    help: "Time since the hub started.",
    labels: [],
    read: (status) => oneValue(status.uptimeSeconds),
  },
  hub_resident_memory_bytes: {
    type: "gauge",
    help: "Memory the process occupies.",
    labels: [],
    read: (status) => oneValue(status.process.residentBytes),
  },
  hub_event_loop_delay_seconds: {
    type: "gauge",
    help: "How late the main thread was in the last minute or two, by quantile.",
    labels: ["quantile"],
    read: (status) => quantilesOf(status.process.eventLoopDelay),
  },
  hub_log_topics: {
    type: "gauge",
    help: "Topics that exist.",
    labels: [],
    read: (status) => oneValue(status.topics.length),
  },
  hub_log_high_watermark_records: {
    type: "gauge",
    help: "First offset of a partition that consumers may not read yet.",
    labels: ["topic", "partition"],
    read: (status) => ofPartitions(status, ({ highWatermark }) => highWatermark),
  },
  hub_log_start_records: {
    type: "gauge",
    help: "First retained offset of a partition.",
    labels: ["topic", "partition"],
    read: (status) => ofPartitions(status, ({ logStartOffset }) => logStartOffset),
  },
  hub_log_stored_bytes: {
    type: "gauge",
    help: "Bytes of a partition's batches in the log.",
    labels: ["topic", "partition"],
    read: (status) => ofPartitions(status, ({ bytes }) => bytes),
  },
  hub_compaction_runs_total: {
    type: "counter",
    help: "Compactions of a partition since the start; one with very many keys takes several.",
    labels: [],
    read: (status) => oneValue(status.compaction.runsTotal),
  },
  hub_compaction_before_bytes_total: {
    type: "counter",
    help: "Bytes of the batches that compaction looked at.",
    labels: [],
    read: (status) => oneValue(status.compaction.bytesBeforeTotal),
  },
  hub_compaction_after_bytes_total: {
    type: "counter",
    help: "Bytes that compaction left of them.",
    labels: [],
    read: (status) => oneValue(status.compaction.bytesAfterTotal),
  },
  hub_compaction_removed_records_total: {
    type: "counter",
    help: "Records that compaction removed: superseded ones and expired tombstones.",
    labels: [],
    read: (status) => oneValue(status.compaction.recordsRemovedTotal),
  },
  hub_compaction_last_duration_seconds: {
    type: "gauge",
    help: "How long the last compaction of a partition took.",
    labels: [],
    read: (status) => oneValue(status.compaction.lastDurationMs / 1000),
  },
  hub_group_members: {
    type: "gauge",
    help: "Members of a consumer group.",
    labels: ["group"],
    read: (status) => status.groups.map(({ group, members }) => ({ value: members, labels: { group } })),
  },
  hub_group_lag_records: {
    type: "gauge",
    help: "Records between a group's committed offsets and the ends of their partitions.",
    labels: ["group"],
    read: (status) => status.groups.map(({ group, lag }) => ({ value: lag, labels: { group } })),
  },
  hub_uplink_agents: {
    type: "gauge",
    help: "Agents that the hub knows.",
    labels: [],
    read: (status) => oneValue(status.agents.length),
  },
  hub_uplink_lost_records_total: {
    type: "counter",
    help: "Records that agents had accepted and have declared lost.",
    labels: ["topic", "reason"],
    read: (status) =>
      status.losses.map(({ topic, reason, records }) => ({ value: records, labels: { topic, reason } })),
  },
  hub_uplink_connected_agents: {
    type: "gauge",
    help: "Agents that are connected.",
    labels: [],
    read: (status) => oneValue(status.agents.filter(({ isConnected }) => isConnected).length),
  },
  hub_kafka_connections: {
    type: "gauge",
    help: "Open connections of Kafka clients.",
    labels: [],
    read: (status) => oneValue(status.kafka.connections),
  },
  hub_kafka_connections_total: {
    type: "counter",
    help: "Connections of Kafka clients since the start.",
    labels: [],
    read: (status) => oneValue(status.kafka.connectionsTotal),
  },
  hub_kafka_refused_connections_total: {
    type: "counter",
    help: "Connections closed by a limit or for what the client sent.",
    labels: [],
    read: (status) => oneValue(status.kafka.connectionsRefusedTotal),
  },
  hub_kafka_failed_logins_total: {
    type: "counter",
    help: "Logins of Kafka clients that failed.",
    labels: [],
    read: (status) => oneValue(status.kafka.loginFailuresTotal),
  },
  hub_kafka_requests_total: {
    type: "counter",
    help: "Kafka requests by API.",
    labels: ["api"],
    read: (status) => Object.entries(status.kafka.requestsTotal).map(([api, value]) => ({ value, labels: { api } })),
  },
  hub_kafka_parked_fetches: {
    type: "gauge",
    help: "Fetch requests that wait for data.",
    labels: [],
    read: (status) => oneValue(status.kafka.fetchesParked),
  },
  hub_kafka_fetch_sessions: {
    type: "gauge",
    help: "Fetch sessions that consumers keep open (KIP-227).",
    labels: [],
    read: (status) => oneValue(status.kafka.fetchSessions),
  },
  hub_kafka_fetch_session_partitions: {
    type: "gauge",
    help: "Partitions of all fetch sessions together.",
    labels: [],
    read: (status) => oneValue(status.kafka.fetchSessionPartitions),
  },
  hub_kafka_received_bytes_total: {
    type: "counter",
    help: "Bytes received from Kafka clients.",
    labels: [],
    read: (status) => oneValue(status.kafka.bytesInTotal),
  },
  hub_kafka_sent_bytes_total: {
    type: "counter",
    help: "Bytes sent to Kafka clients.",
    labels: [],
    read: (status) => oneValue(status.kafka.bytesOutTotal),
  },
  hub_log_damaged_ranges: {
    type: "gauge",
    help: "Stretches of records that cannot be read, found since the start.",
    labels: [],
    read: (status) => oneValue(status.integrity.damagedRanges),
  },
  hub_log_commits_given_up: {
    type: "gauge",
    help: "Commits, at the least, that the start did not take over, because the WAL breaks off before them: a power cut's work, or damage.",
    labels: [],
    read: (status) => oneValue(status.integrity.commitsGivenUp),
  },
  hub_log_damage_incidents: {
    type: "gauge",
    help: "Times that the log was found damaged and carried over, at most the last 20; /status tells of each.",
    labels: [],
    read: (status) => oneValue(status.integrity.incidents.length),
  },
  hub_log_damage_lost_records: {
    type: "gauge",
    help: "Records that could not be carried over.",
    labels: [],
    read: (status) => oneValue(status.integrity.lostRecords),
  },
} as const satisfies MetricTable<HubStatus>;
