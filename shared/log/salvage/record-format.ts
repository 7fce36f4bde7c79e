/**
 * SQLite's record: the values of a row, behind a header that tells their kinds.
 *
 *   [ header bytes : varint ][ kind : varint ] … [ value ] …
 *   kind  0 NULL · 1-6 integer of 1, 2, 3, 4, 6, 8 bytes · 7 float · 8, 9 the integers 0, 1 · even ≥ 12 blob · odd ≥ 13 text
 *
 * Source: "Record Format" in SQLite's file format.
 */

export type SqlValue = null | bigint | number | string | Buffer;

const INTEGER_BYTES = [0, 1, 2, 3, 4, 6, 8] as const;
const VARINT_BYTES_MAX = 9;

/** Up to 64 bits, big-endian groups of 7; a ninth byte counts whole. Undefined where `source` ends before. */
export function readVarint(source: Buffer, at: number): { value: bigint; next: number } | undefined {
  let small = 0;
  let value = 0n;
  for (let i = 0; i < VARINT_BYTES_MAX; i++) {
    const byte = source[at + i];
    if (byte === undefined) return undefined;
    if (i === VARINT_BYTES_MAX - 1) {
      return { value: BigInt.asIntN(64, (value << 8n) | BigInt(byte)), next: at + i + 1 };
    }
    // Nearly all fit the first four bytes.
    if (i < 4) small = small * 128 + (byte & 0x7f);
    if (i === 3) value = BigInt(small);
    if (i >= 4) value = (value << 7n) | BigInt(byte & 0x7f);
    if (byte < 0x80) return { value: i < 4 ? BigInt(small) : BigInt.asIntN(64, value), next: at + i + 1 };
  }
  return undefined;
}

/** Undefined for what cannot be a record. */
export function readRecord(payload: Buffer): SqlValue[] | undefined {
  const start = readVarint(payload, 0);
  if (start === undefined || start.value > BigInt(payload.length)) return undefined;
  const headerEnd = Number(start.value);
  const values: SqlValue[] = [];
  let at = headerEnd;
  for (let next = start.next; next < headerEnd;) {
    const kind = readVarint(payload, next);
    if (kind === undefined || kind.next > headerEnd) return undefined;
    next = kind.next;
    const bytes = valueBytes(kind.value);
    if (bytes === undefined || at + bytes > payload.length) return undefined;
    values.push(readValue(Number(kind.value), payload.subarray(at, at + bytes)));
    at += bytes;
  }
  return at === payload.length ? values : undefined;
}

function valueBytes(kind: bigint): number | undefined {
  if (kind >= 12n) return kind > 0xffffffffn ? undefined : Math.floor((Number(kind) - 12) / 2);
  if (kind === 7n) return 8;
  if (kind === 8n || kind === 9n) return 0;
  return INTEGER_BYTES[Number(kind)];
}

function readValue(kind: number, bytes: Buffer): SqlValue {
  if (kind >= 12) return kind % 2 === 0 ? bytes : bytes.toString("utf8");
  if (kind === 0) return null;
  if (kind === 7) return bytes.readDoubleBE(0);
  if (kind >= 8) return BigInt(kind - 8);
  return bytes.length === 8 ? bytes.readBigInt64BE(0) : BigInt(bytes.readIntBE(0, bytes.length));
}
