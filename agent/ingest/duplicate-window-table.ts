/**
 * What is known of one client's last QoS 1 messages, and what of it is believed (duplicate-window.ts says why).
 *
 *   slot = packet id mod 128    packet id:u16   digest:u32 of topic and payload   commit:f64   turn:u32
 *
 * A turn is a message of the client; `age` counts the turns after an entry's.
 */
import type { ClientState, RowWriter } from "./duplicate-window-row.ts";

export const SLOT_COUNT = 128;
const SLOT_MASK = SLOT_COUNT - 1;
/** Of each client, that rows which are deleted hand on. More than the usual limit of messages in flight, which is 20. */
export const KEPT_MESSAGES = 32;
/** Programs that give each kind of message an identifier of its own have fewer kinds than this. */
export const PROVEN_AFTER = 8;
/** Clients with longer names are not remembered over a restart; the listener's limit is far below. */
const CLIENT_ID_BYTES_MAX = 255;
/** No packet has this identifier [MQTT-2.3.1-1], so it marks an empty slot. */
const NO_PACKET = 0;
/** Commits count from 1. */
const NO_COMMIT = 0;

export class ClientTable {
  readonly clientId: string;
  /** Stands for the client in the rows; never used again for another. */
  ref: number;
  readonly isWritten: boolean;
  isClosed = false;
  /** The client has begun a new session and sent nothing new in it. */
  isNewSession = false;
  /** Messages so far, modulo 2^32. */
  #turn = 0;
  /** The turn from which on no identifier came twice. */
  #soundSince = 0;
  /** The commit whose row has the client's section. */
  #sectionCommit = NO_COMMIT;
  /** The next section is to say that older rows hold no more; and the commit in which one said so. */
  #isNewUnwritten = false;
  #newCommit = NO_COMMIT;
  /** No entry that is young enough to be handed on is of an earlier commit: spares looking for them. */
  #youngFrom = NO_COMMIT;
  /** Messages that are not remembered and that no row counts yet. */
  #passedUnwritten = 0;
  readonly #packetIds = new Uint16Array(SLOT_COUNT);
  readonly #digests = new Uint32Array(SLOT_COUNT);
  readonly #commits = new Float64Array(SLOT_COUNT);
  readonly #turns = new Uint32Array(SLOT_COUNT);

  constructor(clientId: string, ref: number) {
    this.clientId = clientId;
    this.ref = ref;
    this.isWritten = Buffer.byteLength(clientId) <= CLIENT_ID_BYTES_MAX;
  }

  /** The commit of this very message, if it is believed to be one that is sent again. */
  find(messageId: number, digest: number, isUnanswered: (commit: number) => boolean): number | undefined {
    const slot = messageId & SLOT_MASK;
    if (this.isClosed || this.#packetIds[slot] !== messageId || this.#digests[slot] !== digest) return undefined;
    const commit = this.#commits[slot] as number;
    if (!this.isNewSession && isUnanswered(commit)) return commit;
    if (!this.#isProven) return undefined;
    const age = this.#ageOf(slot);
    if (age >= SLOT_COUNT || 2 * (age + 1) > messageId) return undefined;
    // Whoever remembers what it sent before is the same program still.
    this.isNewSession = false;
    return commit;
  }

  /** The client's next message. False, and closed, when its identifier comes again too early. */
  add(messageId: number, digest: number, commit: number, dup: boolean): boolean {
    const slot = messageId & SLOT_MASK;
    if (dup && this.#packetIds[slot] === messageId && this.#digests[slot] === digest) {
      this.#repeated(slot, commit);
      return true;
    }
    if (!this.pass(messageId)) return false;
    this.#packetIds[slot] = messageId;
    this.#digests[slot] = digest;
    this.#commits[slot] = commit;
    this.#turns[slot] = this.#turn;
    if (commit < this.#youngFrom) this.#youngFrom = commit;
    return true;
  }

  /** The client's next message, of which nothing is kept. False, and closed, when its identifier comes again too early. */
  pass(messageId: number): boolean {
    if (this.#packetIds[messageId & SLOT_MASK] === messageId) {
      this.isClosed = true;
      return false;
    }
    this.#turn = (this.#turn + 1) >>> 0;
    return true;
  }

  /**
   * Perhaps the entry's message, perhaps a new one. So the entry grows older, waits for the commit of this one, and
   * proves nothing.
   */
  #repeated(slot: number, commit: number): void {
    this.#turn = (this.#turn + 1) >>> 0;
    this.#soundSince = (this.#soundSince + 1) >>> 0;
    this.#commits[slot] = commit;
  }

  /** `pass` is to be in the next row, too. */
  countPassed(): void {
    this.#passedUnwritten++;
  }

  /** Nothing of before is believed any more. How the client deals out its identifiers stays known, unless it was odd. */
  beginAnew(): void {
    this.isNewSession = false;
    this.#packetIds.fill(NO_PACKET);
    if (this.isClosed) this.#soundSince = this.#turn;
    this.isClosed = false;
    this.#isNewUnwritten = true;
    this.#sectionCommit = NO_COMMIT;
  }

  /** Nothing of the commit is stored. Returns whether no row says any more that the window is closed. */
  forget(commit: number): boolean {
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (this.#commits[slot] === commit) this.#packetIds[slot] = NO_PACKET;
    }
    if (this.#newCommit === commit) this.#isNewUnwritten = true;
    if (this.#sectionCommit !== commit) return false;
    this.#sectionCommit = NO_COMMIT;
    return this.isClosed;
  }

  /** Writes what has to stand before the next message. */
  writeHead(row: RowWriter, commit: number): void {
    if (this.#sectionCommit === NO_COMMIT) this.writeSection(row, commit);
    if (this.#passedUnwritten === 0) return;
    row.passed(this.ref, this.#passedUnwritten);
    this.#passedUnwritten = 0;
  }

  writeSection(row: RowWriter, commit: number): void {
    row.client(this.ref, this.clientId, this.#state(this.#isNewUnwritten));
    this.#sectionCommit = commit;
    if (this.#isNewUnwritten) this.#newCommit = commit;
    this.#isNewUnwritten = false;
  }

  /** Hands on what rows up to `deleted` say of the client and no other row does. */
  writeKept(row: RowWriter, deleted: number, isUnsettled: (commit: number) => boolean): void {
    if (!this.isWritten || this.#isClear(deleted)) return;
    const slots: number[] = [];
    let youngFrom = Infinity;
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (this.#packetIds[slot] === NO_PACKET || this.#ageOf(slot) >= KEPT_MESSAGES) continue;
      youngFrom = Math.min(youngFrom, this.#commits[slot] as number);
      if (this.#isKept(slot, deleted, isUnsettled)) slots.push(slot);
    }
    this.#youngFrom = youngFrom;
    if (slots.length === 0 && (this.#sectionCommit === NO_COMMIT || this.#sectionCommit > deleted)) return;
    row.client(this.ref, this.clientId, this.#state(false), slots.length);
    for (const slot of slots) {
      row.kept(this.#ageOf(slot), this.#packetIds[slot] as number, this.#digests[slot] as number);
    }
  }

  /** What `writeKept` wrote is on the disk, in the row of `commit`. */
  movedOn(deleted: number, commit: number, isUnsettled: (commit: number) => boolean): void {
    if (!this.isWritten || this.#isClear(deleted)) return;
    if (this.#sectionCommit <= deleted && this.#sectionCommit !== NO_COMMIT) this.#sectionCommit = commit;
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (this.#isKept(slot, deleted, isUnsettled)) this.#commits[slot] = commit;
    }
  }

  /** A section of a stored row. */
  restore({ isClosed, isNew, isProven }: ClientState, commit: number): void {
    if (isNew) this.#packetIds.fill(NO_PACKET);
    this.isClosed = isClosed;
    if (isProven) this.#soundSince = (this.#turn - PROVEN_AFTER) >>> 0;
    else if (isNew) this.#soundSince = this.#turn;
    this.#sectionCommit = commit;
  }

  restoreKept({ age, messageId, digest }: { age: number; messageId: number; digest: number }, commit: number): void {
    const slot = messageId & SLOT_MASK;
    if (this.#packetIds[slot] !== NO_PACKET && this.#ageOf(slot) < age) return;
    this.#packetIds[slot] = messageId;
    this.#digests[slot] = digest;
    this.#commits[slot] = commit;
    this.#turns[slot] = (this.#turn - age) >>> 0;
  }

  restorePassed(count: number): void {
    this.#turn = (this.#turn + count) >>> 0;
  }

  /** Whether no row up to `deleted` says anything of the client that is to be kept. */
  #isClear(deleted: number): boolean {
    return deleted < this.#youngFrom && (this.#sectionCommit === NO_COMMIT || this.#sectionCommit > deleted);
  }

  get #isProven(): boolean {
    return (this.#turn - this.#soundSince) >>> 0 >= PROVEN_AFTER;
  }

  #state(isNew: boolean): ClientState {
    return { isClosed: this.isClosed, isNew, isProven: this.#isProven };
  }

  #ageOf(slot: number): number {
    return (this.#turn - (this.#turns[slot] as number)) >>> 0;
  }

  /** Whether the row of the entry is deleted, and the entry young enough to be handed on. */
  #isKept(slot: number, deleted: number, isUnsettled: (commit: number) => boolean): boolean {
    const commit = this.#commits[slot] as number;
    return (
      this.#packetIds[slot] !== NO_PACKET &&
      commit <= deleted &&
      this.#ageOf(slot) < KEPT_MESSAGES &&
      !this.isClosed &&
      // Held back for want of room while others were stored: in no row yet.
      !isUnsettled(commit)
    );
  }
}
