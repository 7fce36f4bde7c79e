/**
 * What must survive a restart of the MQTT side, as tables in the log's database: retained messages, persistent sessions
 * with their subscriptions and outgoing queues, and the wills of connected clients. Runs in the log's worker and in its
 * transactions. (Packet identifiers of incoming QoS 2 messages are the ingest's: they share a transaction with the
 * record.)
 *
 *   mqtt_outgoing   one row a message and session, in the order of `sequence`
 *
 *     queued  ──PUBLISH──▶  message_id set  ──PUBACK──▶  gone
 *                                           ──PUBREC──▶  is_released = 1, no payload  ──PUBCOMP──▶  gone
 *
 * (broker_id, broker_counter) is aedes' name of a message: one run of the broker, and a count in it.
 */
import type { Database } from "better-sqlite3";
import type { LogExtension } from "../../shared/log/extension.ts";

export const SESSION_EXTENSION = "mqtt";

export type QosLevel = 0 | 1 | 2;
export type Payload = Buffer | string;

export type RetainedRow = { readonly topic: string; readonly qos: QosLevel; readonly payload: Payload };
export type SubscriptionRow = { readonly clientId: string; readonly topic: string; readonly options: string };
export type SessionRow = { readonly clientId: string; readonly offlineMs: number };
export type WillRow = {
  readonly clientId: string;
  readonly brokerId: string;
  readonly topic: string;
  readonly payload: Payload;
  readonly qos: QosLevel;
  readonly retain: number;
};
export type LoadedSessions = {
  readonly retained: readonly RetainedRow[];
  readonly sessions: readonly SessionRow[];
  readonly subscriptions: readonly SubscriptionRow[];
  readonly willClientIds: readonly string[];
};

export type OutgoingRow = {
  readonly sequence: number;
  readonly brokerId: string | null;
  readonly brokerCounter: number;
  readonly messageId: number | null;
  readonly isReleased: number;
  readonly topic: string;
  readonly payload: Payload;
  readonly qos: QosLevel;
  readonly retain: number;
  readonly dup: number;
};
export type Enqueue = {
  readonly receivers: readonly { readonly clientId: string; readonly qos: QosLevel }[];
  readonly message: Omit<OutgoingRow, "sequence" | "messageId" | "isReleased" | "qos">;
  readonly limits: { readonly messagesMax: number; readonly bytesMax: number; readonly totalBytesMax: number };
};
export type Enqueued = { readonly evicted: number; readonly refusedSession: number; readonly refusedTotal: number };
export type OutgoingSent = {
  readonly clientId: string;
  readonly brokerId: string | null;
  readonly brokerCounter: number;
  readonly messageId: number;
  readonly qos: QosLevel;
};
export type OutgoingKey = { readonly clientId: string; readonly messageId: number };
export type OutgoingPage = {
  readonly clientId: string;
  readonly after: number;
  readonly last: number;
  readonly rowsMax: number;
};

const SCHEMA = `
CREATE TABLE IF NOT EXISTS mqtt_retained (topic TEXT PRIMARY KEY, qos INTEGER NOT NULL, payload NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mqtt_session (
  client_id TEXT PRIMARY KEY,
  offline_ms INTEGER NOT NULL DEFAULT 0,
  queued_count INTEGER NOT NULL DEFAULT 0,
  queued_bytes INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mqtt_subscription (
  client_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  options TEXT NOT NULL,
  PRIMARY KEY (client_id, topic)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mqtt_outgoing (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  client_id TEXT NOT NULL,
  broker_id TEXT,
  broker_counter INTEGER NOT NULL,
  message_id INTEGER,
  is_released INTEGER NOT NULL DEFAULT 0,
  topic TEXT NOT NULL,
  payload NOT NULL,
  qos INTEGER NOT NULL,
  retain INTEGER NOT NULL,
  dup INTEGER NOT NULL,
  bytes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS mqtt_outgoing_queue ON mqtt_outgoing (client_id, sequence);
CREATE INDEX IF NOT EXISTS mqtt_outgoing_message ON mqtt_outgoing (client_id, message_id);
CREATE UNIQUE INDEX IF NOT EXISTS mqtt_outgoing_source ON mqtt_outgoing (client_id, broker_counter, broker_id);
CREATE TABLE IF NOT EXISTS mqtt_will (
  client_id TEXT PRIMARY KEY,
  broker_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  payload NOT NULL,
  qos INTEGER NOT NULL,
  retain INTEGER NOT NULL
) WITHOUT ROWID;
`;

const OUTGOING_COLUMNS = `sequence, broker_id AS brokerId, broker_counter AS brokerCounter, message_id AS messageId,
  is_released AS isReleased, topic, payload, qos, retain, dup`;
const WILL_COLUMNS = "client_id AS clientId, broker_id AS brokerId, topic, payload, qos, retain";

/** For the agent's log worker. */
export const sessionExtension: LogExtension = {
  name: SESSION_EXTENSION,
  schema: SCHEMA,
  upkeep: ["unsubscribe", "endSession", "saveAges", "sent", "released", "acknowledged", "deleteWill"],
  prepare: (database) => ({ ...prepareSessions(database), ...prepareOutgoing(database), ...prepareWills(database) }),
};

function prepareSessions(database: Database) {
  const retained = database.prepare<[], RetainedRow>("SELECT topic, qos, payload FROM mqtt_retained");
  const keepRetained = database.prepare("INSERT OR REPLACE INTO mqtt_retained VALUES (@topic, @qos, @payload)");
  const dropRetained = database.prepare("DELETE FROM mqtt_retained WHERE topic = ?");
  const sessions = database.prepare<[], SessionRow>(
    "SELECT client_id AS clientId, offline_ms AS offlineMs FROM mqtt_session",
  );
  const subscriptions = database.prepare<[], SubscriptionRow>(
    "SELECT client_id AS clientId, topic, options FROM mqtt_subscription",
  );
  const openSession = database.prepare("INSERT OR IGNORE INTO mqtt_session (client_id) VALUES (?)");
  const saveAge = database.prepare("UPDATE mqtt_session SET offline_ms = @offlineMs WHERE client_id = @clientId");
  const subscribe = database.prepare("INSERT OR REPLACE INTO mqtt_subscription VALUES (@clientId, @topic, @options)");
  const unsubscribe = database.prepare("DELETE FROM mqtt_subscription WHERE client_id = ? AND topic = ?");
  const dropSubscriptions = database.prepare("DELETE FROM mqtt_subscription WHERE client_id = ?");
  const dropOutgoing = database.prepare("DELETE FROM mqtt_outgoing WHERE client_id = ?");
  const dropSession = database.prepare("DELETE FROM mqtt_session WHERE client_id = ?");
  const willClientIds = database.prepare("SELECT client_id FROM mqtt_will").pluck();
  return {
    load: (): LoadedSessions => ({
      retained: retained.all(),
      sessions: sessions.all(),
      subscriptions: subscriptions.all(),
      willClientIds: willClientIds.all() as string[],
    }),
    retain: ({ kept, dropped }: { kept: readonly RetainedRow[]; dropped: readonly string[] }): void => {
      for (const topic of dropped) dropRetained.run(topic);
      for (const row of kept) keepRetained.run(row);
    },
    subscribe: ({ clientId, rows }: { clientId: string; rows: readonly SubscriptionRow[] }): void => {
      openSession.run(clientId);
      for (const row of rows) subscribe.run(row);
    },
    unsubscribe: ({ clientId, topics }: { clientId: string; topics: readonly string[] }): void => {
      for (const topic of topics) unsubscribe.run(clientId, topic);
    },
    endSession: (clientId: string): void => {
      dropSubscriptions.run(clientId);
      dropOutgoing.run(clientId);
      dropSession.run(clientId);
    },
    saveAges: (rows: readonly SessionRow[]): void => {
      for (const row of rows) saveAge.run(row);
    },
  };
}

function prepareOutgoing(database: Database) {
  const byMessageId = database.prepare<[string, number], OutgoingRow & { bytes: number }>(
    `SELECT ${OUTGOING_COLUMNS}, bytes FROM mqtt_outgoing WHERE client_id = ? AND message_id = ?
     ORDER BY sequence LIMIT 1`,
  );
  const bySource = database.prepare<[string, number, string | null], { sequence: number; messageId: number | null }>(
    `SELECT sequence, message_id AS messageId FROM mqtt_outgoing
     WHERE client_id = ? AND broker_counter = ? AND broker_id IS ? ORDER BY sequence LIMIT 1`,
  );
  const setSent = database.prepare("UPDATE mqtt_outgoing SET message_id = ?, qos = ? WHERE sequence = ?");
  const setReleased = database.prepare(
    "UPDATE mqtt_outgoing SET is_released = 1, topic = '', payload = x'', bytes = 0 WHERE sequence = ?",
  );
  const remove = database.prepare("DELETE FROM mqtt_outgoing WHERE sequence = ?");
  const count = database.prepare(
    "UPDATE mqtt_session SET queued_count = queued_count + ?, queued_bytes = queued_bytes + ? WHERE client_id = ?",
  );
  const page = database.prepare<[string, number, number, number], OutgoingRow>(
    `SELECT ${OUTGOING_COLUMNS} FROM mqtt_outgoing
     WHERE client_id = ? AND sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?`,
  );
  const last = database.prepare<[string]>("SELECT max(sequence) FROM mqtt_outgoing WHERE client_id = ?").pluck();
  return {
    enqueue: prepareEnqueue(database),
    /** PUBLISH is about to leave. True when it is not for the first time. */
    sent: ({ clientId, brokerId, brokerCounter, messageId, qos }: OutgoingSent): boolean => {
      const row = bySource.get(clientId, brokerCounter, brokerId);
      if (row === undefined) return false;
      setSent.run(messageId, qos, row.sequence);
      return row.messageId === messageId;
    },
    /** PUBREC has come, PUBREL is about to leave: the message itself is not needed any more. */
    released: ({ clientId, messageId }: OutgoingKey): void => {
      const row = byMessageId.get(clientId, messageId);
      if (row === undefined) return;
      setReleased.run(row.sequence);
      count.run(0, -row.bytes, clientId);
    },
    acknowledged: ({ clientId, messageId }: OutgoingKey): OutgoingRow | undefined => {
      const row = byMessageId.get(clientId, messageId);
      if (row === undefined) return undefined;
      remove.run(row.sequence);
      count.run(-1, -row.bytes, clientId);
      return row;
    },
    lastOutgoing: (clientId: string): number => Number(last.get(clientId) ?? 0),
    outgoing: (request: OutgoingPage): OutgoingRow[] =>
      page.all(request.clientId, request.after, request.last, request.rowsMax),
  };
}

type Totals = { readonly queuedCount: number; readonly queuedBytes: number };

/**
 * Queues one message for each receiver. A full session gives up its oldest messages that were never sent (one that was
 * sent may have arrived, and its acknowledgement is to come); where that is not enough, or all sessions together are
 * full, the new message is refused.
 */
function prepareEnqueue(database: Database): (request: Enqueue) => Enqueued {
  const openSession = database.prepare("INSERT OR IGNORE INTO mqtt_session (client_id) VALUES (?)");
  const totals = database.prepare<[string], Totals>(
    "SELECT queued_count AS queuedCount, queued_bytes AS queuedBytes FROM mqtt_session WHERE client_id = ?",
  );
  const allBytes = database.prepare("SELECT coalesce(sum(queued_bytes), 0) FROM mqtt_session").pluck();
  const oldest = database.prepare<[string], { sequence: number; bytes: number }>(
    `SELECT sequence, bytes FROM mqtt_outgoing WHERE client_id = ? AND message_id IS NULL ORDER BY sequence LIMIT 1`,
  );
  const remove = database.prepare("DELETE FROM mqtt_outgoing WHERE sequence = ?");
  // The unique index on the message's source makes one delivery of several matching subscriptions [MQTT-3.3.5-1].
  const insert = database.prepare(
    `INSERT OR IGNORE INTO mqtt_outgoing
       (client_id, broker_id, broker_counter, topic, payload, qos, retain, dup, bytes)
     VALUES (@clientId, @brokerId, @brokerCounter, @topic, @payload, @qos, @retain, @dup, @bytes)`,
  );
  const count = database.prepare(
    "UPDATE mqtt_session SET queued_count = queued_count + ?, queued_bytes = queued_bytes + ? WHERE client_id = ?",
  );

  return ({ receivers, message, limits }) => {
    const bytes = Buffer.byteLength(message.payload) + Buffer.byteLength(message.topic);
    let total = Number(allBytes.get());
    const outcome = { evicted: 0, refusedSession: 0, refusedTotal: 0 };
    for (const { clientId, qos } of receivers) {
      openSession.run(clientId);
      const { queuedCount, queuedBytes } = totals.get(clientId)!;
      let freedCount = 0;
      let freedBytes = 0;
      const isFull = (): boolean =>
        queuedCount - freedCount + 1 > limits.messagesMax || queuedBytes - freedBytes + bytes > limits.bytesMax;
      for (let victim; isFull() && bytes <= limits.bytesMax && (victim = oldest.get(clientId)) !== undefined;) {
        remove.run(victim.sequence);
        freedCount++;
        freedBytes += victim.bytes;
      }
      outcome.evicted += freedCount;
      total -= freedBytes;
      let isInserted = false;
      if (isFull()) outcome.refusedSession++;
      else if (total + bytes > limits.totalBytesMax) outcome.refusedTotal++;
      else isInserted = insert.run({ ...message, clientId, qos, bytes }).changes === 1;
      if (isInserted) total += bytes;
      count.run((isInserted ? 1 : 0) - freedCount, (isInserted ? bytes : 0) - freedBytes, clientId);
    }
    return outcome;
  };
}

function prepareWills(database: Database) {
  const put = database.prepare(
    "INSERT OR REPLACE INTO mqtt_will VALUES (@clientId, @brokerId, @topic, @payload, @qos, @retain)",
  );
  const get = database.prepare<[string], WillRow>(`SELECT ${WILL_COLUMNS} FROM mqtt_will WHERE client_id = ?`);
  const remove = database.prepare("DELETE FROM mqtt_will WHERE client_id = ?");
  const all = database.prepare<[], WillRow>(`SELECT ${WILL_COLUMNS} FROM mqtt_will`);
  return {
    putWill: (row: WillRow): void => void put.run(row),
    getWill: (clientId: string): WillRow | undefined => get.get(clientId),
    deleteWill: (clientId: string): WillRow | undefined => {
      const row = get.get(clientId);
      if (row !== undefined) remove.run(clientId);
      return row;
    },
    wills: (): WillRow[] => all.all(),
  };
}
