/**
 * Looks over a CBOR message (RFC 8949) before a general decoder touches it, so that what a stranger sends can neither
 * make it allocate nor recurse nor build anything but maps, arrays, texts, bytes and numbers.
 *
 *   refused   tags, indefinite lengths, unassigned simple values, a count or length beyond the bytes that are left,
 *             more than ITEMS_MAX items, nesting deeper than DEPTH_MAX, bytes after the first item
 *
 * Byte strings are stepped over: a message with a batch of 1 MiB costs a few steps.
 */
import { StreamError } from "../errors.ts";

/** A welcome of 10,000 partitions has 90,000. */
const ITEMS_MAX = 200_000;
/** Frames need 4; an agent's status is free in form. */
const DEPTH_MAX = 16;

const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7 } as const;
/** false, true, null, undefined; below 24 the value sits in the first byte. */
const SIMPLE_MIN = 20;
const SIMPLE_MAX = 23;
const INFO_INDEFINITE = 31;
/** Additional information 24 to 27: the argument is in the next 1, 2, 4 or 8 bytes. */
const INFO_ONE_BYTE = 24;
const INFO_EIGHT_BYTES = 27;
const FLOAT_INFO_MIN = 25;

/** @throws StreamError PROTOCOL_VIOLATION. */
export function checkPlainCbor(message: Buffer): void {
  /** Items still to come on each level that is open, the message itself being one item. */
  const open = [1];
  let items = 0;
  let at = 0;
  while (open.length > 0) {
    const left = open[open.length - 1] as number;
    if (left === 0) {
      open.pop();
      continue;
    }
    open[open.length - 1] = left - 1;
    items++;
    if (items > ITEMS_MAX) throw violation(`more than ${ITEMS_MAX} items`);
    const head = readHead(message, at);
    at = head.end;
    if (head.major === MAJOR.bytes || head.major === MAJOR.text) {
      if (head.argument > message.length - at) throw violation("a string is longer than the message");
      at += head.argument;
    } else if (head.major === MAJOR.array || head.major === MAJOR.map) {
      const count = head.major === MAJOR.map ? head.argument * 2 : head.argument;
      // Every item takes a byte at least.
      if (count > message.length - at) throw violation("a list is longer than the message");
      if (open.length > DEPTH_MAX) throw violation(`nested deeper than ${DEPTH_MAX}`);
      open.push(count);
    }
  }
  if (at !== message.length) throw violation(`${message.length - at} bytes after the frame`);
}

function readHead(message: Buffer, at: number): { major: number; argument: number; end: number } {
  const first = message[at];
  if (first === undefined) throw violation("the message is cut");
  const major = first >> 5;
  const info = first & 0x1f;
  if (major === MAJOR.tag) throw violation("tags are not used");
  if (info === INFO_INDEFINITE) throw violation("indefinite lengths are not used");
  if (info > INFO_EIGHT_BYTES) throw violation(`reserved value ${info}`);
  if (major === MAJOR.simple && info < FLOAT_INFO_MIN && (info < SIMPLE_MIN || info > SIMPLE_MAX)) {
    throw violation(`simple value ${info}`);
  }
  if (info < INFO_ONE_BYTE) return { major, argument: info, end: at + 1 };
  const bytes = 1 << (info - INFO_ONE_BYTE);
  const end = at + 1 + bytes;
  if (end > message.length) throw violation("the message is cut");
  return { major, argument: readArgument(message, at + 1, bytes), end };
}

function readArgument(message: Buffer, at: number, bytes: number): number {
  if (bytes === 8) return message.readUInt32BE(at) * 2 ** 32 + message.readUInt32BE(at + 4);
  return message.readUIntBE(at, bytes);
}

function violation(reason: string): StreamError {
  return new StreamError("PROTOCOL_VIOLATION", `not a frame: ${reason}`);
}
