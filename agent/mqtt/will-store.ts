/** The wills of connected clients, kept so that they are published even if the agent is killed. */
import { exactCopy, fromClone } from "./exact-copy.ts";
import type { SessionDatabase } from "./session-database.ts";
import type { SessionClient, WillPacket } from "./session-packets.ts";
import type { WillRow } from "./session-tables.ts";

export class WillStore {
  readonly #database: SessionDatabase;
  readonly #brokerId: () => string;
  /** The connection whose will is stored; undefined for wills from before the restart. */
  readonly #owners = new Map<string, SessionClient | undefined>();

  constructor(database: SessionDatabase, brokerId: () => string) {
    this.#database = database;
    this.#brokerId = brokerId;
  }

  load(clientIds: readonly string[]): void {
    for (const clientId of clientIds) this.#owners.set(clientId, undefined);
  }

  /** Durable before CONNACK leaves. */
  async put(client: SessionClient, packet: WillPacket): Promise<void> {
    packet.brokerId = this.#brokerId();
    packet.clientId = client.id;
    const row: WillRow = {
      clientId: client.id,
      brokerId: this.#brokerId(),
      topic: packet.topic,
      payload: exactCopy(packet.payload),
      qos: packet.qos ?? 0,
      retain: packet.retain === true ? 1 : 0,
    };
    await this.#database.call("putWill", row, "fsync");
    this.#owners.set(client.id, client);
  }

  async get(client: { readonly id: string }): Promise<WillPacket | undefined> {
    const row = (await this.#database.query("getWill", client.id)) as WillRow | undefined;
    return row === undefined ? undefined : toWill(row);
  }

  /**
   * aedes deletes by client id when a connection has ended, also when that was a take-over and the will stored by then
   * is the new connection's: that one stays.
   */
  async delete(client: { readonly id: string }): Promise<WillPacket | undefined> {
    const owner = this.#owners.get(client.id);
    const isLive = (owner?.connecting === true || owner?.connected === true) && owner.closed !== true;
    if (!this.#owners.has(client.id) || (isLive && owner !== client)) return undefined;
    const row = (await this.#database.call("deleteWill", client.id, "fsync")) as WillRow | undefined;
    if (this.#owners.get(client.id) === owner) this.#owners.delete(client.id);
    return row === undefined ? undefined : toWill(row);
  }

  /**
   * The wills of other runs of the broker than `brokers` and this one; all wills without an argument. (aedes leaves out
   * its own run only while its heartbeat is recent by the wall clock.)
   */
  async *except(brokers: Readonly<Record<string, unknown>> | undefined): AsyncGenerator<WillPacket> {
    const rows = (await this.#database.query("wills", undefined)) as readonly WillRow[];
    for (const row of rows) {
      const isExcluded = brokers !== undefined && (row.brokerId in brokers || row.brokerId === this.#brokerId());
      if (!isExcluded) yield toWill(row);
    }
  }
}

function toWill(row: WillRow): WillPacket {
  return { ...row, payload: fromClone(row.payload), retain: row.retain === 1 };
}
