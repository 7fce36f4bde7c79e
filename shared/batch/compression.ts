/**
 * The codecs of a record batch, synchronous: gzip and zstd by Node, snappy and lz4 by @platformatic/wasm-utils.
 * Decompression of bytes from outside never yields more than the caller allows.
 *
 * Framings as Kafka's clients write them: gzip RFC 1952; lz4 the frame format; zstd a plain frame; snappy either raw
 * (librdkafka) or in the blocks of snappy-java: magic 82 "SNAPPY" 00, two int32 versions, then {int32 length, raw block}.
 */
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { StreamError } from "../errors.ts";
import { unreachable } from "../invariant.ts";
import { lz4DecompressedBytes } from "./lz4-size.ts";
import type { Codec } from "./record-batch.ts";
import { wasmCodecs } from "./wasm-codecs.ts";
import { zstdContentBytes } from "./zstd-size.ts";

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER_BYTES = 16;
/** Level 1 halves the time of the default 3 for a few percent of size: the gateway's CPU is the scarcer good. */
const ZSTD_LEVEL = 1;
/** Node's own minimum. */
const CHUNK_BYTES_MIN = 64;
/** What zstd makes of sensors' readings is seldom smaller. */
const USUAL_RATIO = 6;

/** `level` is the codec's own; snappy has none, and the lz4 of wasm-utils knows only its fastest. */
export function compress(codec: Codec, bytes: Uint8Array, level?: number): Uint8Array {
  switch (codec) {
    case "none":
      return bytes;
    case "gzip":
      return gzipSync(bytes, level === undefined ? {} : { level });
    case "snappy":
      return wasmCodecs().snappyCompress(asBuffer(bytes));
    case "lz4":
      return wasmCodecs().lz4Compress(asBuffer(bytes));
    case "zstd":
      return zstdCompressSync(bytes, {
        // In one piece, not in many that are joined.
        chunkSize: Math.max(CHUNK_BYTES_MIN, bytes.length),
        params: { [constants.ZSTD_c_compressionLevel]: level ?? ZSTD_LEVEL },
      });
    default:
      return unreachable(codec);
  }
}

/**
 * @throws StreamError CORRUPT_RECORD when the bytes are not of the codec; MESSAGE_TOO_LARGE when they would become more
 * than `bytesMax`.
 */
export function decompress(codec: Codec, bytes: Uint8Array, bytesMax: number): Buffer {
  try {
    return bounded(decode(codec, bytes, bytesMax), bytesMax);
  } catch (error) {
    if (error instanceof StreamError) throw error;
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(bytesMax);
    throw new StreamError("CORRUPT_RECORD", `a ${codec} block cannot be decompressed`, { cause: error });
  }
}

function decode(codec: Codec, bytes: Uint8Array, bytesMax: number): Buffer {
  switch (codec) {
    case "none":
      return asBuffer(bytes);
    case "gzip":
      return gunzipSync(bytes, { maxOutputLength: bytesMax });
    case "snappy":
      return decodeSnappy(asBuffer(bytes), bytesMax);
    case "lz4":
      if (lz4DecompressedBytes(asBuffer(bytes), bytesMax) > bytesMax) throw tooLarge(bytesMax);
      return wasmCodecs().lz4Decompress(asBuffer(bytes));
    case "zstd":
      return zstdDecompressSync(bytes, { maxOutputLength: bytesMax, chunkSize: chunkBytes(bytes, bytesMax) });
    default:
      return unreachable(codec);
  }
}

/** A batch that says how large it is comes out in one piece, which need not be joined with others. */
function chunkBytes(bytes: Uint8Array, bytesMax: number): number {
  const wanted = zstdContentBytes(asBuffer(bytes)) ?? bytes.length * USUAL_RATIO;
  return Math.max(CHUNK_BYTES_MIN, Math.min(wanted, bytesMax));
}

function decodeSnappy(bytes: Buffer, bytesMax: number): Buffer {
  if (!bytes.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return decodeSnappyBlock(bytes, bytesMax);
  const blocks: Buffer[] = [];
  let total = 0;
  for (let at = XERIAL_HEADER_BYTES; at < bytes.length;) {
    const length = bytes.readInt32BE(at);
    at += 4;
    if (length < 0 || at + length > bytes.length) throw new StreamError("CORRUPT_RECORD", "a snappy block is cut");
    const block = decodeSnappyBlock(bytes.subarray(at, at + length), bytesMax - total);
    blocks.push(block);
    total += block.length;
    at += length;
  }
  return Buffer.concat(blocks, total);
}

/** A raw snappy block begins with its decompressed length as a varint: refused before anything is allocated. */
function decodeSnappyBlock(block: Buffer, bytesMax: number): Buffer {
  let length = 0;
  for (let i = 0, scale = 1; i < 5; i++, scale *= 0x80) {
    const byte = block[i];
    if (byte === undefined) throw new StreamError("CORRUPT_RECORD", "a snappy block is cut");
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  if (length > bytesMax) throw tooLarge(bytesMax);
  return wasmCodecs().snappyDecompress(block);
}

function bounded(result: Buffer, bytesMax: number): Buffer {
  if (result.length > bytesMax) throw tooLarge(bytesMax);
  return result;
}

const tooLarge = (bytesMax: number): StreamError =>
  new StreamError("MESSAGE_TOO_LARGE", `a batch becomes more than ${bytesMax} bytes when it is decompressed`);

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
