import { createRequire } from "node:module";

/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78, initial value and final xor 0xFFFFFFFF), as RecordBatch v2 uses it.
 * The native implementation of @node-rs/crc32 is taken where it loads and the input is long enough to repay the call;
 * otherwise eight tables take eight bytes a step ("slicing by 8").
 */
const POLYNOMIAL = 0x82f63b78;
const TABLE_COUNT = 8;
const NATIVE_BYTES_MIN = 256;

const tables = buildTables();

function buildTables(): Int32Array {
  const result = new Int32Array(256 * TABLE_COUNT);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    result[byte] = crc;
  }
  for (let byte = 0; byte < 256; byte++) {
    let crc = result[byte] as number;
    for (let table = 1; table < TABLE_COUNT; table++) {
      crc = (result[crc & 0xff] as number) ^ (crc >>> 8);
      result[table * 256 + byte] = crc;
    }
  }
  return result;
}

/** The CRC-32C of `bytes`, in JavaScript alone. Exported for tests and platforms without the native module. */
export function crc32cPortable(bytes: Uint8Array): number {
  const t = tables;
  const end = bytes.length;
  const end8 = end - (end % 8);
  let crc = -1;
  let at = 0;
  while (at < end8) {
    // Every index below is within the table and the input, which the type checker cannot see.
    const low =
      crc ^
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24));
    crc =
      (t[1792 + (low & 0xff)] as number) ^
      (t[1536 + ((low >>> 8) & 0xff)] as number) ^
      (t[1280 + ((low >>> 16) & 0xff)] as number) ^
      (t[1024 + (low >>> 24)] as number) ^
      (t[768 + (bytes[at + 4] as number)] as number) ^
      (t[512 + (bytes[at + 5] as number)] as number) ^
      (t[256 + (bytes[at + 6] as number)] as number) ^
      (t[bytes[at + 7] as number] as number);
    at += 8;
  }
  while (at < end) crc = (t[(crc ^ (bytes[at++] as number)) & 0xff] as number) ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}

type NativeCrc = { crc32c(input: Uint8Array): number };

function loadNative(): NativeCrc | undefined {
  try {
    return createRequire(import.meta.url)("@node-rs/crc32") as NativeCrc;
  } catch {
    // An optional dependency: platforms without a prebuilt binary use the portable implementation.
    return undefined;
  }
}

const native = loadNative();

export function crc32c(bytes: Uint8Array): number {
  return native !== undefined && bytes.length >= NATIVE_BYTES_MIN ? native.crc32c(bytes) : crc32cPortable(bytes);
}
