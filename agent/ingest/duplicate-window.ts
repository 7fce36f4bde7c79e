/**
 * Recognises QoS 1 messages that a client sends again because it never saw the PUBACK (DUP = 1, [MQTT-3.3.1-1]), within
 * a bounded window and in memory.
 *
 * For each of the clients last heard of (DUPLICATE_CLIENTS_MAX) there is a table of SLOT_COUNT entries, found by the low
 * bits of the packet identifier: for a client that counts its identifiers up, as most do, these are its last messages.
 *
 *   slot = packet id mod 128    packet id:u16   digest:u32 of topic and payload   commit:f64   turn:u32
 *
 * A message with DUP = 1 whose identifier and digest are in the table was stored before, in the commit that the entry
 * names; it is answered together with that commit and not stored again.
 *
 * The danger is the other mistake: taking a new message for an old one would lose it. DUP = 1 alone does not say that we
 * have the message; it may be a second attempt whose first never arrived. An identifier may be used again once its
 * PUBACK is through [MQTT-2.3.1-4], and there are clients that always take the lowest free one, so that every message
 * has identifier 1; from such a client "identifier 1, DUP, same bytes" can well be the next reading of a sensor whose
 * value did not change. Hence:
 *   - a client that uses an identifier again while its entry is still there (DUP = 0, or DUP = 1 with other content)
 *     has shown that its identifiers prove nothing: its window is closed for as long as the client is remembered;
 *   - an entry older than SLOT_COUNT messages of its client is not believed;
 *   - an entry whose commit failed is removed before anyone hears of the failure.
 * What remains is a client whose very first re-use of an identifier is cut off on the wire and repeats topic and payload
 * to the byte. A publisher to whom that matters uses QoS 2, which has no such window.
 */

export const DUPLICATE_CLIENTS_MAX = 1000;
const SLOT_COUNT = 128;
const SLOT_MASK = SLOT_COUNT - 1;
/** No packet has this identifier [MQTT-2.3.1-1], so it marks an empty slot. */
const NO_PACKET = 0;

type ClientWindow = {
  isClosed: boolean;
  /** Messages of the client so far, modulo 2^32. */
  turn: number;
  readonly packetIds: Uint16Array;
  readonly digests: Uint32Array;
  readonly commits: Float64Array;
  readonly turns: Uint32Array;
};

export class DuplicateWindow {
  /** In the order of last use: the first is forgotten when the table is full. */
  readonly #clients = new Map<string, ClientWindow>();
  #last: { readonly clientId: string; readonly window: ClientWindow } | undefined;

  get clientCount(): number {
    return this.#clients.size;
  }

  /**
   * The commit in which this very message was stored before; undefined for one that is to be stored. For messages with
   * DUP = 1 only. `digest`: the CRC-32C of topic and payload.
   */
  find(clientId: string, messageId: number, digest: number): number | undefined {
    const window = this.#clients.get(clientId);
    if (window === undefined || window.isClosed) return undefined;
    const slot = messageId & SLOT_MASK;
    if (window.packetIds[slot] !== messageId || window.digests[slot] !== digest) return undefined;
    const age = (window.turn - (window.turns[slot] as number)) >>> 0;
    return age < SLOT_COUNT ? window.commits[slot] : undefined;
  }

  /** Remembers a message that goes into the commit of this number: every one that `find` did not know. */
  add(clientId: string, messageId: number, digest: number, commit: number): void {
    const window = this.#window(clientId);
    if (window.isClosed) return;
    const slot = messageId & SLOT_MASK;
    if (window.packetIds[slot] === messageId) {
      window.isClosed = true;
      return;
    }
    window.turn = (window.turn + 1) >>> 0;
    window.packetIds[slot] = messageId;
    window.digests[slot] = digest;
    window.commits[slot] = commit;
    window.turns[slot] = window.turn;
  }

  /** The commit failed: nothing of it is stored, whatever the table says. Rare, and therefore a walk through it all. */
  forgetCommit(commit: number): void {
    for (const window of this.#clients.values()) {
      for (let slot = 0; slot < SLOT_COUNT; slot++) {
        if (window.commits[slot] === commit) window.packetIds[slot] = NO_PACKET;
      }
    }
  }

  #window(clientId: string): ClientWindow {
    // Messages of one client come in runs: only the first of a run moves it in the order.
    if (this.#last?.clientId === clientId) return this.#last.window;
    const known = this.#clients.get(clientId);
    const window = known ?? newWindow();
    if (known !== undefined) this.#clients.delete(clientId);
    else if (this.#clients.size >= DUPLICATE_CLIENTS_MAX) this.#forgetOldest();
    this.#clients.set(clientId, window);
    this.#last = { clientId, window };
    return window;
  }

  #forgetOldest(): void {
    const oldest = this.#clients.keys().next();
    if (oldest.done !== true) this.#clients.delete(oldest.value);
  }
}

function newWindow(): ClientWindow {
  return {
    isClosed: false,
    turn: 0,
    packetIds: new Uint16Array(SLOT_COUNT),
    digests: new Uint32Array(SLOT_COUNT),
    commits: new Float64Array(SLOT_COUNT),
    turns: new Uint32Array(SLOT_COUNT),
  };
}
