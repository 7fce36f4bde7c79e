/**
 * The QoS 2 messages on their way in: which of them are new to the broker's own subscribers, and how many a client may
 * have between PUBLISH and PUBREL.
 *
 *   admit ──▶ the sink stores record and identifier in one commit ──▶ claim: first ──▶ broker publishes, PUBREC
 *                                                                          again ──▶ PUBREC only [MQTT-4.3.3-2]
 *   PUBREL ──▶ release: durable, then forgotten here ──▶ PUBCOMP
 *   session ends ──▶ releaseAll: waits for what is on its way; new messages of the client wait until it is done
 *
 * Identifiers found in the store at the start belong to messages that were stored before the restart, so they count as
 * published.
 */
import type { LimitLog } from "./limit-log.ts";

/** Where the identifiers lie; see ingest/qos-two-packets.ts. */
export interface IncomingPackets {
  /** Durable on return; does nothing for an identifier that is not stored. */
  release(clientId: string, messageId: number): Promise<void>;
  /** Durable on return. No message of the client may be let through before that. */
  releaseAll(clientId: string): Promise<void>;
  /** All stored identifiers. */
  ids(): Iterable<readonly [clientId: string, messageId: number]>;
}

type Entry = {
  /** Who sent PUBLISH last; undefined for those from before the restart. */
  connection: object | undefined;
  isPublished: boolean;
  /** PUBLISH packets with this identifier that the sink has not answered. */
  pending: number;
};
type ClientWindow = {
  readonly entries: Map<number, Entry>;
  pending: number;
  cleaning: Promise<void> | undefined;
  /** Called when `pending` reaches 0. */
  idle: (() => void)[];
};

const DONE: Promise<void> = Promise.resolve();

export class IncomingWindow {
  readonly #packets: IncomingPackets;
  readonly #packetsMax: number;
  readonly #limitLog: LimitLog;
  readonly #clients = new Map<string, ClientWindow>();

  constructor(packets: IncomingPackets, packetsMax: number, limitLog: LimitLog) {
    this.#packets = packets;
    this.#packetsMax = packetsMax;
    this.#limitLog = limitLog;
    for (const [clientId, messageId] of packets.ids()) {
      this.#client(clientId).entries.set(messageId, { connection: undefined, isPublished: true, pending: 0 });
    }
  }

  /** Clients with a message between PUBLISH and PUBREL. */
  clientIds(): Iterable<string> {
    return this.#clients.keys();
  }

  /**
   * A PUBLISH has come. "admitted": hand it to the sink, then call `settled`. "full": refuse it. A promise: ask again
   * when it resolves.
   *
   * A full window gives up the oldest identifier if another connection used it last: a client that lost its own state
   * would otherwise be locked out for ever by those it will never release.
   */
  admit(connection: object, clientId: string, messageId: number): "admitted" | "full" | Promise<void> {
    const client = this.#client(clientId);
    if (client.cleaning !== undefined) return client.cleaning;
    const known = client.entries.get(messageId);
    if (known === undefined && client.entries.size >= this.#packetsMax) {
      const [oldestId, oldest] = client.entries.entries().next().value!;
      if (oldest.connection === connection || oldest.pending > 0) return "full";
      this.#limitLog.reached("incomingPacketsMax", { clientId });
      return this.release(clientId, oldestId);
    }
    const entry = known ?? { connection, isPublished: false, pending: 0 };
    entry.connection = connection;
    entry.pending++;
    client.pending++;
    // Moves it to the end: the order of the map is that of the last use.
    if (known !== undefined) client.entries.delete(messageId);
    client.entries.set(messageId, entry);
    return "admitted";
  }

  /** The sink has answered an admitted PUBLISH. */
  settled(clientId: string, messageId: number, isStored: boolean): void {
    const client = this.#clients.get(clientId);
    if (client === undefined) return;
    client.pending--;
    const entry = client.entries.get(messageId);
    if (entry !== undefined) {
      entry.pending--;
      if (!isStored && !entry.isPublished && entry.pending <= 0) client.entries.delete(messageId);
    }
    if (client.pending === 0) for (const resolve of client.idle.splice(0)) resolve();
    this.#forgetIfEmpty(clientId, client);
  }

  /** True for the first to ask about a stored message, who then publishes it to the broker's subscribers. */
  claim(clientId: string, messageId: number): boolean {
    const { entries } = this.#client(clientId);
    const entry = entries.get(messageId);
    if (entry?.isPublished === true) return false;
    if (entry === undefined) entries.set(messageId, { connection: undefined, isPublished: true, pending: 0 });
    else entry.isPublished = true;
    return true;
  }

  has(clientId: string, messageId: number): boolean {
    return this.#clients.get(clientId)?.entries.has(messageId) === true;
  }

  async release(clientId: string, messageId: number): Promise<void> {
    await this.#packets.release(clientId, messageId);
    const client = this.#clients.get(clientId);
    if (client === undefined) return;
    client.entries.delete(messageId);
    this.#forgetIfEmpty(clientId, client);
  }

  releaseAll(clientId: string): Promise<void> {
    const client = this.#clients.get(clientId);
    if (client === undefined) return DONE;
    client.cleaning ??= this.#clean(clientId, client).finally(() => {
      client.cleaning = undefined;
      this.#forgetIfEmpty(clientId, client);
    });
    return client.cleaning;
  }

  async #clean(clientId: string, client: ClientWindow): Promise<void> {
    while (client.pending > 0) await new Promise<void>((resolve) => client.idle.push(resolve));
    await this.#packets.releaseAll(clientId);
    client.entries.clear();
  }

  #client(clientId: string): ClientWindow {
    let client = this.#clients.get(clientId);
    if (client === undefined) {
      client = { entries: new Map(), pending: 0, cleaning: undefined, idle: [] };
      this.#clients.set(clientId, client);
    }
    return client;
  }

  #forgetIfEmpty(clientId: string, client: ClientWindow): void {
    if (client.entries.size > 0 || client.pending > 0 || client.cleaning !== undefined) return;
    if (this.#clients.get(clientId) === client) this.#clients.delete(clientId);
  }
}
