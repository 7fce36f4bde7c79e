/** One more header for a record that is already encoded. */
import { VarintReader, writeVarint } from "./varint.ts";

/** What the count of headers may grow by. */
const COUNT_GROWTH_BYTES_MAX = 4;

export type EncodedHeader = Uint8Array;

/** As it stands in a record. Short ones only: neither name nor value above 8 KiB. */
export function encodeHeader(name: string, value: string): EncodedHeader {
  const [key, bytes] = [Buffer.from(name), Buffer.from(value)];
  const target = new Uint8Array(key.length + bytes.length + 4);
  let at = writeVarint(target, 0, key.length);
  target.set(key, at);
  at = writeVarint(target, at + key.length, bytes.length);
  target.set(bytes, at);
  return target.subarray(0, at + bytes.length);
}

/**
 * `rest`: a record from its key on. The header comes last, as the headers of a record are in the order in which they were
 * added.
 *
 * @throws StreamError CORRUPT_RECORD when `rest` ends before its headers.
 */
export function withHeader(rest: Uint8Array, header: EncodedHeader): Uint8Array {
  const reader = new VarintReader(rest);
  skip(reader);
  skip(reader);
  const countAt = reader.at;
  const count = reader.int32();
  const target = new Uint8Array(rest.length + header.length + COUNT_GROWTH_BYTES_MAX);
  target.set(rest.subarray(0, countAt), 0);
  let at = writeVarint(target, countAt, count + 1);
  target.set(rest.subarray(reader.at), at);
  at += rest.length - reader.at;
  target.set(header, at);
  return target.subarray(0, at + header.length);
}

/** Key or value; a length of -1 stands for none. */
function skip(reader: VarintReader): void {
  const bytes = reader.int32();
  reader.at += Math.max(0, bytes);
}
