/**
 * What one commit adds to the memory of stored QoS 1 messages (duplicate-window.ts), in as few bytes as will do, because
 * it is written to the disk with every commit:
 *
 *   row     = section, …
 *   section = client ref << 2 | kind : varint, then by kind
 *     0 message   packet id:u16  digest:u32                                    one message
 *     1 run       packet id:u16  count:u8  digest:u32 × count                  identifiers that count up by one
 *     2 passed    count:u8                                                     messages that are not remembered
 *     3 client    flags:u8  name length:u8  name  count:u8  (age:u8  packet id:u16  digest:u32) × count
 *
 * `age` counts the client's messages after this one. A client's section says what its number means and how its window
 * stands; the messages in it are those that an older row held, which goes with this commit. Little endian.
 */

export type ClientState = {
  /** The client has used an identifier again too early: nothing is recognised until it begins a new session. */
  readonly isClosed: boolean;
  /** What older rows say of the client's messages holds no more. */
  readonly isNew: boolean;
  /** Enough messages came before to trust its identifiers. */
  readonly isProven: boolean;
};

export type RowReader = {
  message(ref: number, messageId: number, digest: number): void;
  passed(ref: number, count: number): void;
  client(ref: number, clientId: string, state: ClientState): void;
  /** Follows its client. */
  kept(ref: number, entry: { readonly age: number; readonly messageId: number; readonly digest: number }): void;
};

const KIND = { message: 0, run: 1, passed: 2, client: 3 } as const;
const KIND_BITS = 2;
const FLAG = { closed: 1, new: 2, proven: 4 } as const;
const COUNT_MAX = 255;
const PACKET_ID_BYTES = 2;
const DIGEST_BYTES = 4;
/** The largest thing that is added at once is a client's section without its messages. */
const ROOM_BYTES = 512;
const INITIAL_BYTES = 4096;
/** A burst's memory is not kept. */
const KEPT_BYTES_MAX = 64 * 1024;

/** Gathers a row. Allocates nothing for a message but, now and then, twice the room. */
export class RowWriter {
  #bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  #at = 0;
  /** The run that the next message may continue. */
  #runRef = -1;
  #runCountAt = 0;
  #runCount = 0;
  #runNextId = 0;

  get length(): number {
    return this.#at;
  }

  message(ref: number, messageId: number, digest: number): void {
    this.#makeRoom();
    if (ref === this.#runRef && messageId === this.#runNextId && this.#runCount < COUNT_MAX) {
      if (this.#runCount === 1) this.#makeRun();
      this.#bytes[this.#runCountAt] = ++this.#runCount;
    } else {
      this.#runRef = ref;
      this.#runCount = 1;
      this.#runCountAt = this.#at;
      this.#head(ref, KIND.message);
      this.#bytes[this.#at] = messageId;
      this.#bytes[this.#at + 1] = messageId >>> 8;
      this.#at += PACKET_ID_BYTES;
    }
    this.#runNextId = messageId + 1;
    this.#digest(digest);
  }

  passed(ref: number, count: number): void {
    this.#makeRoom();
    this.#runRef = -1;
    this.#head(ref, KIND.passed);
    this.#at = this.#bytes.writeUInt8(Math.min(count, COUNT_MAX), this.#at);
  }

  /** `keptCount` calls of `kept` follow. */
  client(ref: number, clientId: string, { isClosed, isNew, isProven }: ClientState, keptCount = 0): void {
    this.#makeRoom();
    this.#runRef = -1;
    this.#head(ref, KIND.client);
    const flags = (isClosed ? FLAG.closed : 0) | (isNew ? FLAG.new : 0) | (isProven ? FLAG.proven : 0);
    this.#at = this.#bytes.writeUInt8(flags, this.#at);
    const nameAt = this.#at + 1;
    const nameBytes = this.#bytes.write(clientId, nameAt, COUNT_MAX, "utf8");
    this.#bytes.writeUInt8(nameBytes, this.#at);
    this.#at = this.#bytes.writeUInt8(keptCount, nameAt + nameBytes);
  }

  kept(age: number, messageId: number, digest: number): void {
    this.#makeRoom();
    this.#at = this.#bytes.writeUInt8(age, this.#at);
    this.#at = this.#bytes.writeUInt16LE(messageId, this.#at);
    this.#at = this.#bytes.writeUInt32LE(digest, this.#at);
  }

  append(other: RowWriter): void {
    this.#runRef = -1;
    this.#makeRoom(other.#at);
    this.#at += other.#bytes.copy(this.#bytes, this.#at, 0, other.#at);
  }

  /** A copy of the row; the writer is empty afterwards. */
  take(): Uint8Array {
    const row = new Uint8Array(this.#at);
    row.set(this.#bytes.subarray(0, this.#at));
    this.reset();
    return row;
  }

  reset(): void {
    this.#at = 0;
    this.#runRef = -1;
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#bytes = Buffer.allocUnsafe(INITIAL_BYTES);
  }

  /** Byte by byte: this is done for every message, and Buffer's own methods check their arguments. */
  #digest(digest: number): void {
    const at = this.#at;
    this.#bytes[at] = digest;
    this.#bytes[at + 1] = digest >>> 8;
    this.#bytes[at + 2] = digest >>> 16;
    this.#bytes[at + 3] = digest >>> 24;
    this.#at = at + DIGEST_BYTES;
  }

  /** The single message before becomes the first of a run: its digest moves up for the count. */
  #makeRun(): void {
    const headAt = this.#runCountAt;
    const digestAt = this.#at - DIGEST_BYTES;
    this.#bytes[headAt] = (this.#bytes[headAt] as number) | KIND.run;
    this.#bytes.copyWithin(digestAt + 1, digestAt, this.#at);
    this.#runCountAt = digestAt;
    this.#at++;
  }

  #head(ref: number, kind: number): void {
    let rest = ref * (1 << KIND_BITS) + kind;
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest & 0x7f) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#at++] = rest;
  }

  #makeRoom(bytes = 0): void {
    const needed = this.#at + bytes + ROOM_BYTES;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

/** @throws RangeError when the row ends too early: it is not one of ours. */
export function readRow(row: Uint8Array, reader: RowReader): void {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = bytes.readUInt8(at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  const u8 = (): number => bytes.readUInt8(at++);
  const u16 = (): number => bytes.readUInt16LE((at += PACKET_ID_BYTES) - PACKET_ID_BYTES);
  const u32 = (): number => bytes.readUInt32LE((at += DIGEST_BYTES) - DIGEST_BYTES);
  while (at < bytes.length) {
    const head = varint();
    const ref = Math.floor(head / (1 << KIND_BITS));
    const kind = head % (1 << KIND_BITS);
    if (kind === KIND.passed) {
      reader.passed(ref, u8());
    } else if (kind === KIND.client) {
      readClient(ref);
    } else {
      const firstId = u16();
      const count = kind === KIND.run ? u8() : 1;
      for (let index = 0; index < count; index++) reader.message(ref, firstId + index, u32());
    }
  }

  function readClient(ref: number): void {
    const flags = u8();
    const nameBytes = u8();
    if (at + nameBytes > bytes.length) throw new RangeError("a name beyond the end of its row");
    const clientId = bytes.toString("utf8", at, (at += nameBytes));
    reader.client(ref, clientId, {
      isClosed: (flags & FLAG.closed) !== 0,
      isNew: (flags & FLAG.new) !== 0,
      isProven: (flags & FLAG.proven) !== 0,
    });
    for (let left = u8(); left > 0; left--) reader.kept(ref, { age: u8(), messageId: u16(), digest: u32() });
  }
}
