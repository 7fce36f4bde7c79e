/**
 * The agent's metrics, all in one table; docs are made from it. Values are read from the status when somebody asks, so
 * that they cost the messages nothing. Labels are topics and reasons, which are bounded; never client ids.
 */
import { quantilesOf } from "../../shared/event-loop-delay.ts";
import { oneValue } from "../../shared/metrics-text.ts";
import type { MetricTable, MetricValue } from "../../shared/metrics-text.ts";
import type { AgentStatus } from "./status.ts";

const ofTopics = (
  status: AgentStatus,
  key: "pendingRecords" | "historyRecords" | "pendingBytes" | "storedBytes",
): readonly MetricValue[] => status.log.topics.map((topic) => ({ value: topic[key], labels: { topic: topic.topic } }));
const HOUR_SECONDS = 3600;
const MS_PER_SECOND = 1000;
const seconds = (hours: number | null): number | null => (hours === null ? null : hours * HOUR_SECONDS);

export const agentMetrics = {
  agent_uptime_seconds: {
    type: "gauge",
    help: "Time since the agent started.",
    labels: [],
    read: (status) => oneValue(status.uptimeSeconds),
  },
  agent_resident_memory_bytes: {
    type: "gauge",
    help: "Memory the process occupies.",
    labels: [],
    read: (status) => oneValue(status.process.residentBytes),
  },
  agent_event_loop_delay_seconds: {
    type: "gauge",
    help: "How late the main thread was in the last minute or two, by quantile.",
    labels: ["quantile"],
    read: (status) => quantilesOf(status.process.eventLoopDelay),
  },
  agent_clock_known: {
    type: "gauge",
    help: "1 while the time is known, 0 while records are stamped provisionally.",
    labels: [],
    read: (status) => oneValue(status.clock === null ? null : Number(status.clock.isKnown)),
  },
  agent_clock_system_ahead_seconds: {
    type: "gauge",
    help: "What the system clock shows more than the time that records are stamped with.",
    labels: [],
    read: (status) => oneValue(status.clock === null ? null : status.clock.systemAheadMs / MS_PER_SECOND),
  },
  agent_disk_written_bytes_total: {
    type: "counter",
    help: "Bytes written to storage by the process since it started, where the system tells.",
    labels: [],
    read: (status) => oneValue(status.process.diskBytesWritten),
  },
  agent_disk_written_bytes_per_record: {
    type: "gauge",
    help: "Bytes written to storage for each record committed since the agent started, where the system tells.",
    labels: [],
    read: (status) => oneValue(status.disk.bytesPerRecord),
  },
  agent_disk_written_bytes_per_day: {
    type: "gauge",
    help: "Bytes written to storage in a day at the rate of the last hour, where the system tells.",
    labels: [],
    read: (status) => oneValue(status.disk.bytesPerDay),
  },
  agent_ingest_received_messages_total: {
    type: "counter",
    help: "MQTT messages that reached the ingest.",
    labels: [],
    read: (status) => oneValue(status.ingest.receivedMessages),
  },
  agent_ingest_committed_records_total: {
    type: "counter",
    help: "Records whose commit is durable.",
    labels: [],
    read: (status) => oneValue(status.ingest.committedRecords),
  },
  agent_ingest_committed_bytes_total: {
    type: "counter",
    help: "Bytes of those records, before compression.",
    labels: [],
    read: (status) => oneValue(status.ingest.committedBytes),
  },
  agent_ingest_duplicate_messages_total: {
    type: "counter",
    help: "Messages sent again that were stored before and not stored twice.",
    labels: [],
    read: (status) => oneValue(status.ingest.duplicateMessages),
  },
  agent_ingest_refused_messages_total: {
    type: "counter",
    help: "Messages answered with an error; nothing of them is stored.",
    labels: [],
    read: (status) => oneValue(status.ingest.refusedMessages),
  },
  agent_ingest_uncommitted_bytes: {
    type: "gauge",
    help: "Bytes gathered or on their way to the disk.",
    labels: [],
    read: (status) => oneValue(status.ingest.uncommittedBytes),
  },
  agent_ingest_uncommitted_messages: {
    type: "gauge",
    help: "Messages gathered or on their way to the disk.",
    labels: [],
    read: (status) => oneValue(status.ingest.uncommittedMessages),
  },
  agent_ingest_waiting_bytes: {
    type: "gauge",
    help: "Bytes held back by a full log or until their topic is made.",
    labels: [],
    read: (status) => oneValue(status.ingest.waitingBytes),
  },
  agent_ingest_waiting_messages: {
    type: "gauge",
    help: "Messages held back by a full log or until their topic is made.",
    labels: [],
    read: (status) => oneValue(status.ingest.waitingMessages),
  },
  agent_ingest_routed_topics: {
    type: "gauge",
    help: "MQTT topics whose way is remembered.",
    labels: [],
    read: (status) => oneValue(status.ingest.routedTopics),
  },
  agent_lost_records_total: {
    type: "counter",
    help: "Records accepted that will never arrive at the hub.",
    labels: ["topic", "reason"],
    read: (status) =>
      status.ledger.losses.map(({ topic, reason, records }) => ({ value: records, labels: { topic, reason } })),
  },
  agent_accepted_records_total: {
    type: "counter",
    help: "Records accepted since the installation: delivered, pending or dropped.",
    labels: [],
    read: (status) => oneValue(status.ledger.accepted),
  },
  agent_delivered_records_total: {
    type: "counter",
    help: "Records that the hub has confirmed.",
    labels: [],
    read: (status) => oneValue(status.ledger.delivered),
  },
  agent_dropped_records_total: {
    type: "counter",
    help: "Records accepted that will never arrive, those included that are not declared to the hub yet.",
    labels: [],
    read: (status) => oneValue(status.ledger.dropped),
  },
  agent_unreconciled_partitions: {
    type: "gauge",
    help: "Partitions of which the hub has stored another number of records than were delivered. Anything but 0 is an alarm.",
    labels: [],
    read: (status) => oneValue(status.ledger.differences.length),
  },
  agent_log_used_bytes: {
    type: "gauge",
    help: "Bytes of the log's database that are in use.",
    labels: [],
    read: (status) => oneValue(status.log.usedBytes),
  },
  agent_log_file_bytes: {
    type: "gauge",
    help: "Size of the log's database file, freed pages included.",
    labels: [],
    read: (status) => oneValue(status.log.fileBytes),
  },
  agent_disk_free_bytes: {
    type: "gauge",
    help: "Free on the file system of the log.",
    labels: [],
    read: (status) => oneValue(status.log.diskFreeBytes),
  },
  agent_log_cap_bytes: {
    type: "gauge",
    help: "Bytes of the log's database that may be in use; less than configured while others fill the disk.",
    labels: [],
    read: (status) => oneValue(status.log.capBytes),
  },
  agent_log_is_full: {
    type: "gauge",
    help: "1 while the log is at its cap and turns messages away or holds them back.",
    labels: [],
    read: (status) => oneValue(status.ingest.isWithoutRoom ? 1 : 0),
  },
  agent_log_runway_seconds: {
    type: "gauge",
    help: "Time until the log is full at the present rate; absent while it does not grow.",
    labels: [],
    read: (status) => oneValue(seconds(status.runway.hours)),
  },
  agent_log_offline_runway_seconds: {
    type: "gauge",
    help: "Time until the log is full if the uplink went down now; absent while nothing comes in.",
    labels: [],
    read: (status) => oneValue(seconds(status.runway.hoursIfOffline)),
  },
  agent_log_stored_bytes: {
    type: "gauge",
    help: "Bytes of a topic's batches in the log.",
    labels: ["topic"],
    read: (status) => ofTopics(status, "storedBytes"),
  },
  agent_uplink_pending_records: {
    type: "gauge",
    help: "Records of a topic that the hub has not confirmed.",
    labels: ["topic"],
    read: (status) => ofTopics(status, "pendingRecords"),
  },
  agent_uplink_history_records: {
    type: "gauge",
    help: "Of them, records that an outage has gathered and that newer ones have overtaken.",
    labels: ["topic"],
    read: (status) => ofTopics(status, "historyRecords"),
  },
  agent_uplink_pending_bytes: {
    type: "gauge",
    help: "Bytes of a topic that the hub has not confirmed, estimated.",
    labels: ["topic"],
    read: (status) => ofTopics(status, "pendingBytes"),
  },
  agent_uplink_is_connected: {
    type: "gauge",
    help: "1 while the uplink is connected.",
    labels: [],
    read: (status) => (status.uplink === null ? [] : oneValue(status.uplink.isConnected ? 1 : 0)),
  },
  agent_mqtt_count: {
    type: "gauge",
    help: "Counts of the MQTT side, by name.",
    labels: ["name"],
    read: (status) => Object.entries(status.mqtt ?? {}).map(([name, value]) => ({ value, labels: { name } })),
  },
  agent_log_damaged_ranges: {
    type: "gauge",
    help: "Stretches of records that cannot be read, found since the start.",
    labels: [],
    read: (status) => oneValue(status.integrity.damagedRanges),
  },
  agent_log_commits_given_up: {
    type: "gauge",
    help: "Commits, at the least, that the start did not take over, because the WAL breaks off before them: a power cut's work, or damage.",
    labels: [],
    read: (status) => oneValue(status.integrity.commitsGivenUp),
  },
  agent_log_damage_incidents: {
    type: "gauge",
    help: "Times that the log was found damaged and carried over, at most the last 20; /status tells of each.",
    labels: [],
    read: (status) => oneValue(status.integrity.incidents.length),
  },
  agent_log_damage_lost_records: {
    type: "gauge",
    help: "Records that could not be carried over.",
    labels: [],
    read: (status) => oneValue(status.integrity.lostRecords),
  },
} as const satisfies MetricTable<AgentStatus>;
