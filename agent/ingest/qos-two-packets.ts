/**
 * The packet identifiers of QoS 2 messages that are stored but not yet released: what makes "exactly once" of the first
 * half of the handshake [MQTT-4.3.3-2]. They lie in the log's database, in the same transaction as the record.
 *
 *   PUBLISH id ──▶ open ──commit──▶ stored ──▶ PUBREC          PUBREL id ──▶ deleted, durable ──▶ PUBCOMP
 *                   │ again: waits for that commit                again: not there, PUBCOMP at once
 *                   └ commit failed: nobody remembers it        PUBLISH id while stored: PUBREC, no second record
 *
 * A crash before the commit leaves neither record nor identifier, one after it leaves both; a crash between PUBREL and
 * the deletion leaves the identifier, and the client sends PUBREL again.
 *
 * Bounds: the MQTT listener lets a client have 100 identifiers at a time, and clears a session that ends.
 */
import type { LogExtension } from "../../shared/log/extension.ts";
import type { ExtensionCall, PartitionedLog } from "../../shared/log/partitioned-log.ts";

export type PacketKey = readonly [clientId: string, messageId: number];
type Row = { readonly client_id: string; readonly packet_id: number };

/** For the agent's log worker. */
export const qosTwoExtension: LogExtension = {
  name: "qos2",
  schema: `CREATE TABLE IF NOT EXISTS qos2_packet (
    client_id TEXT NOT NULL,
    packet_id INTEGER NOT NULL,
    PRIMARY KEY (client_id, packet_id)
  ) WITHOUT ROWID;`,
  // A message that was lost is to be stored when it comes again; one that was not is stored twice then.
  leftOut: ["qos2_packet"],
  upkeep: ["remove"],
  prepare: (database) => {
    const all = database.prepare<[], Row>("SELECT client_id, packet_id FROM qos2_packet");
    const insert = database.prepare<[string, number]>(
      "INSERT OR IGNORE INTO qos2_packet (client_id, packet_id) VALUES (?, ?)",
    );
    const remove = database.prepare<[string, number]>("DELETE FROM qos2_packet WHERE client_id = ? AND packet_id = ?");
    return {
      all: (): PacketKey[] => all.all().map((row) => [row.client_id, row.packet_id]),
      insert: (keys: readonly PacketKey[]): void => {
        for (const key of keys) insert.run(...key);
      },
      remove: (keys: readonly PacketKey[]): void => {
        for (const key of keys) remove.run(...key);
      },
    };
  },
};

type Calls = Pick<PartitionedLog, "call" | "query">;
type Listener = (error?: Error) => void;

export class QosTwoPackets {
  readonly #log: Calls;
  readonly #stored = new Map<string, Set<number>>();
  /** Identifiers in a commit on its way, and who waits for its outcome besides the message itself. */
  readonly #pending = new Map<string, Map<number, Listener[]>>();

  private constructor(log: Calls) {
    this.#log = log;
  }

  static async load(log: Calls): Promise<QosTwoPackets> {
    const packets = new QosTwoPackets(log);
    const keys = (await log.query({ extension: "qos2", method: "all", args: undefined })) as readonly PacketKey[];
    for (const key of keys) packets.#add(key);
    return packets;
  }

  /** Whether the message is stored and not yet released. */
  has(clientId: string, messageId: number): boolean {
    return this.#stored.get(clientId)?.has(messageId) === true;
  }

  /** Whether the message is in a commit on its way. */
  isPending(clientId: string, messageId: number): boolean {
    return this.#pending.get(clientId)?.has(messageId) === true;
  }

  /** Everything stored. */
  *ids(): Generator<PacketKey> {
    for (const [clientId, messageIds] of this.#stored) {
      for (const messageId of messageIds) yield [clientId, messageId];
    }
  }

  /** PUBREL: durable on return. Waits for a commit that still carries the message. */
  async release(clientId: string, messageId: number): Promise<void> {
    await this.#outcome(clientId, messageId);
    if (!this.has(clientId, messageId)) return;
    await this.#remove([[clientId, messageId]]);
  }

  /** The client's session ends. The caller lets no new message of the client through before this has returned. */
  async releaseAll(clientId: string): Promise<void> {
    const pending = [...(this.#pending.get(clientId)?.keys() ?? [])];
    await Promise.all(pending.map((messageId) => this.#outcome(clientId, messageId)));
    const stored = [...(this.#stored.get(clientId) ?? [])];
    if (stored.length > 0) await this.#remove(stored.map((messageId): PacketKey => [clientId, messageId]));
  }

  /** The message goes into the next commit, together with what `insertCall` returns for it. */
  begin(key: PacketKey): void {
    const [clientId, messageId] = key;
    const ofClient = this.#pending.get(clientId);
    if (ofClient === undefined) this.#pending.set(clientId, new Map([[messageId, []]]));
    else ofClient.set(messageId, []);
  }

  /** `listener` hears how the commit of a pending message ended, after the sender of the message. */
  wait(clientId: string, messageId: number, listener: Listener): void {
    this.#pending.get(clientId)?.get(messageId)?.push(listener);
  }

  insertCall(keys: readonly PacketKey[]): ExtensionCall {
    return { extension: "qos2", method: "insert", args: keys };
  }

  /** The commit has ended. Returns who waited, so that the caller tells them when all of memory has moved. */
  settle(keys: readonly PacketKey[], error?: Error): readonly Listener[] {
    const listeners: Listener[] = [];
    for (const key of keys) {
      const [clientId, messageId] = key;
      const ofClient = this.#pending.get(clientId);
      listeners.push(...(ofClient?.get(messageId) ?? []));
      ofClient?.delete(messageId);
      if (ofClient?.size === 0) this.#pending.delete(clientId);
      if (error === undefined) this.#add(key);
    }
    return listeners;
  }

  /** Resolves when no commit carries the message any more, whichever way it ended: a failed one left nothing behind. */
  #outcome(clientId: string, messageId: number): Promise<void> {
    if (!this.isPending(clientId, messageId)) return Promise.resolve();
    return new Promise((resolve) => this.wait(clientId, messageId, () => resolve()));
  }

  async #remove(keys: readonly PacketKey[]): Promise<void> {
    await this.#log.call([{ extension: "qos2", method: "remove", args: keys }]);
    for (const [clientId, messageId] of keys) {
      const ofClient = this.#stored.get(clientId);
      ofClient?.delete(messageId);
      if (ofClient?.size === 0) this.#stored.delete(clientId);
    }
  }

  #add([clientId, messageId]: PacketKey): void {
    const ofClient = this.#stored.get(clientId);
    if (ofClient === undefined) this.#stored.set(clientId, new Set([messageId]));
    else ofClient.add(messageId);
  }
}
