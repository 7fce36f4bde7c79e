/**
 * The messages on their way to persistent sessions, in the database only. Bounds: `outgoingMessagesMax`,
 * `outgoingBytesMax` (the oldest message not sent yet goes first), `outgoingTotalBytesMax` (the new one is not queued).
 */
import { invariant } from "../../shared/invariant.ts";
import { exactCopy, fromClone } from "./exact-copy.ts";
import type { LimitLog } from "./limit-log.ts";
import type { MqttLimits } from "./limits.ts";
import type { SessionDatabase } from "./session-database.ts";
import type { Receiver, SessionClient, SessionPacket } from "./session-packets.ts";
import type { Enqueue, Enqueued, OutgoingRow, QosLevel } from "./session-tables.ts";

/** The sessions, as their queues need to know them. */
export interface QueueOwners {
  has(clientId: string): boolean;
  isEnding(clientId: string): boolean;
  /** The client has a session from now on. */
  opened(clientId: string): void;
}

export type OutgoingQueuesOptions = {
  readonly database: SessionDatabase;
  readonly sessions: QueueOwners;
  readonly limits: MqttLimits;
  readonly limitLog: LimitLog;
  readonly writeFailed: (message: string, error: unknown) => void;
};

/** At 256 KiB a message this is 4 MiB in memory for a session that catches up. */
const PAGE_ROWS = 16;

export class OutgoingQueues {
  readonly #database: SessionDatabase;
  readonly #sessions: QueueOwners;
  readonly #limits: MqttLimits;
  readonly #limitLog: LimitLog;
  readonly #writeFailed: OutgoingQueuesOptions["writeFailed"];
  #dropped = 0;

  constructor({ database, sessions, limits, limitLog, writeFailed }: OutgoingQueuesOptions) {
    this.#database = database;
    this.#sessions = sessions;
    this.#limits = limits;
    this.#limitLog = limitLog;
    this.#writeFailed = writeFailed;
  }

  /** Messages that were not queued, or not kept until they were sent. */
  get dropped(): number {
    return this.#dropped;
  }

  async enqueue(receivers: readonly Receiver[], packet: SessionPacket): Promise<void> {
    const packetQos = packet.qos ?? 0;
    const open = receivers
      .filter(({ clientId }) => !this.#sessions.isEnding(clientId))
      // The lower of the two, the message's and the subscription's [MQTT-3.8.4-6].
      .map(({ clientId, qos }) => ({ clientId, qos: Math.min(qos ?? packetQos, packetQos) as QosLevel }))
      // The highest first: the message is queued once for a client, however many of its subscriptions match.
      .toSorted((left, right) => right.qos - left.qos);
    if (open.length === 0) return;
    const request: Enqueue = {
      receivers: open,
      message: {
        brokerId: packet.brokerId ?? null,
        brokerCounter: packet.brokerCounter ?? 0,
        topic: packet.topic,
        payload: exactCopy(packet.payload),
        retain: packet.retain === true ? 1 : 0,
        dup: packet.dup === true ? 1 : 0,
      },
      limits: {
        messagesMax: this.#limits.outgoingMessagesMax,
        bytesMax: this.#limits.outgoingBytesMax,
        totalBytesMax: this.#limits.outgoingTotalBytesMax,
      },
    };
    try {
      const outcome = (await this.#database.call("enqueue", request, "fsync")) as Enqueued;
      for (const { clientId } of open) this.#sessions.opened(clientId);
      this.#countDropped(outcome, open);
    } catch (error) {
      this.#dropped += open.length;
      this.#writeFailed("message not queued for sessions", error);
    }
  }

  #countDropped(outcome: Enqueued, receivers: readonly Receiver[]): void {
    const { evicted, refusedSession, refusedTotal } = outcome;
    this.#dropped += evicted + refusedSession + refusedTotal;
    const fields = receivers.length === 1 ? { clientId: receivers[0]!.clientId } : {};
    if (evicted + refusedSession > 0) this.#limitLog.reached("outgoingMessagesMax", fields);
    if (refusedTotal > 0) this.#limitLog.reached("outgoingTotalBytesMax", fields);
  }

  /**
   * Before a PUBLISH or PUBREL leaves for a persistent session. A message that is not in the queue (it was full) goes
   * out all the same, and is not sent again if it gets lost.
   */
  async sending(client: SessionClient, packet: SessionPacket): Promise<void> {
    const { messageId } = packet;
    invariant(messageId !== undefined, "a packet on its way out has an identifier");
    if (packet.cmd === "pubrel") {
      await this.#database.call("released", { clientId: client.id, messageId }, "fsync");
      return;
    }
    const qos = packet.qos ?? 0;
    const sent = {
      clientId: client.id,
      brokerId: packet.brokerId ?? null,
      brokerCounter: packet.brokerCounter ?? 0,
      messageId,
      qos,
    };
    // Losing it in a power cut means sending again under a new identifier: allowed at QoS 1, a duplicate at QoS 2.
    const isAgain = (await this.#database.call("sent", sent, qos === 2 ? "fsync" : "os")) as boolean;
    // `writeCallback` is on the packets that aedes is about to write [MQTT-3.3.1-1].
    if (isAgain && "writeCallback" in packet) packet.dup = true;
  }

  async acknowledged(
    client: SessionClient,
    packet: { readonly messageId?: number | undefined },
  ): Promise<SessionPacket | undefined> {
    const { messageId } = packet;
    if (messageId === undefined || client.clean === true || !this.#sessions.has(client.id)) return undefined;
    const row = (await this.#database.call("acknowledged", { clientId: client.id, messageId }, "os")) as
      | OutgoingRow
      | undefined;
    return row === undefined ? undefined : (toPacket(row) as SessionPacket);
  }

  /** The queue as it is when the reading starts: what comes later is delivered as it comes. */
  async *messages(clientId: string): AsyncGenerator<object> {
    const last = (await this.#database.query("lastOutgoing", clientId)) as number;
    for (let after = 0; after < last;) {
      const page = { clientId, after, last, rowsMax: PAGE_ROWS };
      const rows = (await this.#database.query("outgoing", page)) as readonly OutgoingRow[];
      for (const row of rows) yield toPacket(row);
      after = rows.at(-1)?.sequence ?? last;
    }
  }
}

function toPacket(row: OutgoingRow): object {
  if (row.isReleased === 1) return { cmd: "pubrel", messageId: row.messageId };
  return {
    cmd: "publish",
    brokerId: row.brokerId ?? undefined,
    brokerCounter: row.brokerCounter,
    topic: row.topic,
    payload: fromClone(row.payload),
    qos: row.qos,
    retain: row.retain === 1,
    dup: row.dup === 1,
    messageId: row.messageId ?? undefined,
  };
}
