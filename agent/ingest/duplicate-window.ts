/**
 * Recognises QoS 1 messages that a client sends again because it never saw the PUBACK (DUP = 1, [MQTT-3.3.1-1]), within
 * a bounded window that survives a restart.
 *
 * For each of the clients last heard of (DUPLICATE_CLIENTS_MAX) there is a table of SLOT_COUNT entries, found by the low
 * bits of the packet identifier (duplicate-window-table.ts): for a client that counts its identifiers up, as most do,
 * these are its last messages.
 *
 * A message with DUP = 1 whose identifier and digest are in the table was stored before, in the commit that the entry
 * names; it is answered together with that commit and not stored again.
 *
 * The danger is the other mistake: taking a new message for an old one would lose it. DUP = 1 alone does not say that we
 * have the message; it may be a second attempt whose first never arrived, of a new message under an identifier whose
 * PUBACK is through [MQTT-2.3.1-4], with the same bytes, because the sensor's value did not change. What tells them apart
 * is how soon an identifier can come back. A client that counts up takes 65,535 messages for it, one that counts round
 * its window of n takes n, one that always takes the lowest free identifier has 1 to x-1 under way whenever it takes x,
 * and one that counts from 1 after a restart has sent x-1 before it is at x. So none of them uses x again before x-1
 * other messages, all of which we have seen, because what is sent again comes in the order of old [MQTT-4.6.0-1]. Hence
 * an entry is believed while its message has no PUBACK, for its identifier is in use, and after that only
 *   - while at most half as many messages came after it (half: a lost SUBSCRIBE takes identifiers too), and fewer than
 *     SLOT_COUNT; so identifier 1 never is;
 *   - if PROVEN_AFTER messages of the client came without an identifier twice; a client that does use one again while
 *     its entry is there, with DUP = 0 or other content, follows no rule that we know, and its window is closed until it
 *     begins a new session;
 *   - within its session. MQTT knows no second sending in a new one (CleanSession = 1), but clients do it, so the first
 *     new session after a message still knows it, until it brings a new message; a second one knows it only if the first
 *     brought a repetition: else it may be another program by then, whose identifiers begin anywhere;
 *   - if its commit did not fail.
 * What remains is a client that deals identifiers out by no rule, has not shown it within PROVEN_AFTER messages, and has
 * the very first one that it uses again cut off on the wire, with the same topic and payload to the byte. A publisher to
 * whom that matters uses QoS 2, which has no such window.
 *
 * After a restart (duplicate-window-blocks.ts) each client's last KEPT_MESSAGES are known, however long it has been silent
 * and whatever the others sent, and of what came last as much as the blocks hold.
 */
import type { ExtensionCall, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import { readRow } from "./duplicate-window-row.ts";
import type { RowReader } from "./duplicate-window-row.ts";
import { DuplicateBlocks, allBlocksCall, storedRows } from "./duplicate-window-blocks.ts";
import type { StoredBlock, StoredRows } from "./duplicate-window-blocks.ts";
import { ClientTable } from "./duplicate-window-table.ts";

export const DUPLICATE_CLIENTS_MAX = 1000;

type Message = { readonly clientId: string; readonly messageId: number | undefined; readonly dup: boolean };

export class DuplicateWindow {
  /** In the order of last use: the first is forgotten when there are too many. */
  readonly #clients = new Map<string, ClientTable>();
  #last: ClientTable | undefined;
  /** Undefined: in memory only. */
  readonly #blocks: DuplicateBlocks | undefined;
  /** Closed, and no row says so. */
  readonly #closedUnwritten = new Set<ClientTable>();
  #nextRef = 1;
  /** Commits are numbered from here on, so that the rows of this run follow those of the last. */
  readonly firstCommit: number;

  constructor(stored?: readonly StoredBlock[]) {
    this.#blocks = stored === undefined ? undefined : new DuplicateBlocks(stored);
    const rows = storedRows(stored ?? []);
    this.firstCommit = rows.reduce((last, { sequence }) => Math.max(last, sequence), 0) + 1;
    this.#replay(rows);
  }

  static async load(log: Pick<PartitionedLog, "query">): Promise<DuplicateWindow> {
    return new DuplicateWindow((await log.query(allBlocksCall)) as readonly StoredBlock[]);
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  /** What it takes on the disk, in blocks. */
  get blockCount(): number {
    return this.#blocks?.blockCount ?? 0;
  }

  /**
   * The commit in which this very message was stored before; undefined for one that is to be stored. For messages with
   * DUP = 1 only. `digest`: the CRC-32C of topic and payload; `isUnanswered`: the commit is still on its way, or held back.
   */
  find(
    { clientId, messageId }: Message,
    digest: number,
    isUnanswered: (commit: number) => boolean,
  ): number | undefined {
    return messageId === undefined ? undefined : this.#clients.get(clientId)?.find(messageId, digest, isUnanswered);
  }

  /** Remembers a message that goes into the commit of this number: every one that `find` did not know. */
  add({ clientId, messageId, dup }: Message, digest: number, commit: number): void {
    if (messageId === undefined) return;
    const client = this.#client(clientId);
    if (client.isNewSession && !dup) client.beginAnew();
    if (client.isClosed) return;
    if (!client.add(messageId, digest, commit, dup)) return this.#closed(client);
    if (this.#blocks === undefined || !client.isWritten) return;
    const row = this.#blocks.writer(commit);
    client.writeHead(row, commit);
    row.message(client.ref, messageId, digest);
  }

  /** A message that is answered and not remembered, at QoS 2 or dropped: its identifier counts all the same. */
  pass({ clientId, messageId, dup }: Message): void {
    const client = this.#clients.get(clientId);
    if (client === undefined || messageId === undefined) return;
    if (client.isNewSession && !dup) client.beginAnew();
    if (client.isClosed) return;
    if (client.pass(messageId)) client.countPassed();
    else this.#closed(client);
  }

  /** The client has connected with CleanSession = 1. */
  beginSession(clientId: string): void {
    const client = this.#clients.get(clientId);
    if (client === undefined) return;
    if (client.isNewSession) client.beginAnew();
    client.isNewSession = true;
  }

  /** The commit with these numbers leaves. Returns what is to be stored with it. */
  take(numbers: readonly number[]): readonly ExtensionCall[] {
    const blocks = this.#blocks;
    if (blocks === undefined) return [];
    if (this.#closedUnwritten.size > 0) {
      const row = blocks.writer(numbers[0] as number);
      for (const client of this.#closedUnwritten) client.writeSection(row, Math.max(...numbers));
      this.#closedUnwritten.clear();
    }
    const call = blocks.take(numbers, this.#clients.size, (row, deleted) => {
      for (const client of this.#clients.values()) client.writeKept(row, deleted, blocks.isUnsettled);
    });
    return call === undefined ? [] : [call];
  }

  /** The commit has ended: what it stored stays known, what it failed to store is forgotten. */
  settle(numbers: readonly number[], isStored: boolean): void {
    const blocks = this.#blocks;
    const deleted = blocks?.settle(numbers, isStored) ?? 0;
    if (!isStored) for (const number of numbers) this.#forgetCommit(number);
    if (blocks === undefined || deleted === 0) return;
    const commit = Math.max(...numbers);
    for (const client of this.#clients.values()) client.movedOn(deleted, commit, blocks.isUnsettled);
  }

  /** Rare, and therefore a walk through everything. */
  #forgetCommit(commit: number): void {
    for (const client of this.#clients.values()) if (client.forget(commit)) this.#closed(client);
  }

  #closed(client: ClientTable): void {
    if (this.#blocks !== undefined && client.isWritten) this.#closedUnwritten.add(client);
  }

  #client(clientId: string): ClientTable {
    // Messages of one client come in runs: only the first of a run moves it in the order.
    if (this.#last?.clientId === clientId) return this.#last;
    const known = this.#clients.get(clientId);
    const client = known ?? new ClientTable(clientId, this.#nextRef++);
    if (known !== undefined) this.#clients.delete(clientId);
    else if (this.#clients.size >= DUPLICATE_CLIENTS_MAX) this.#forgetOldest();
    this.#clients.set(clientId, client);
    this.#last = client;
    return client;
  }

  #forgetOldest(): void {
    const oldest = this.#clients.values().next();
    if (oldest.done === true) return;
    this.#clients.delete(oldest.value.clientId);
    this.#closedUnwritten.delete(oldest.value);
  }

  /** The rows of the last run, oldest first. A client's name may come after messages of its number. */
  #replay(stored: readonly StoredRows[]): void {
    const names = new Map<number, string>();
    const ignore = (): void => undefined;
    const client = (ref: number, clientId: string): void => void names.set(ref, clientId);
    for (const { bytes } of stored) read(bytes, { message: ignore, passed: ignore, kept: ignore, client });
    this.#nextRef = 1 + [...names.keys()].reduce((last, ref) => Math.max(last, ref), 0);
    const clientOf = (ref: number): ClientTable | undefined => {
      const clientId = names.get(ref);
      if (clientId === undefined) return undefined;
      const found = this.#client(clientId);
      found.ref = ref;
      return found;
    };
    for (const { sequence, bytes } of stored) {
      read(bytes, {
        message: (ref, messageId, digest) => void clientOf(ref)?.add(messageId, digest, sequence, true),
        passed: (ref, count) => clientOf(ref)?.restorePassed(count),
        client: (ref, _clientId, state) => clientOf(ref)?.restore(state, sequence),
        kept: (ref, entry) => clientOf(ref)?.restoreKept(entry, sequence),
      });
    }
  }
}

function read(bytes: Uint8Array, reader: RowReader): void {
  try {
    readRow(bytes, reader);
  } catch (error) {
    // A damaged row: what it said is not known, so that repetitions are stored once more.
    if (!(error instanceof RangeError)) throw error;
  }
}
