/** The lines of a stream of UTF-8, as they come, without holding more than one that is not complete. */
import { isUtf8 } from "node:buffer";
import { StreamError } from "../../../shared/errors.ts";

export const LINE_BYTES_MAX = 1024 * 1024;
const LINE_FEED = 0x0a;

export type Line = { readonly number: number; readonly text: string };

/** Empty lines are left out, but counted. @throws StreamError INVALID_REQUEST, MESSAGE_TOO_LARGE. */
export async function* readLines(stream: AsyncIterable<Buffer>): AsyncGenerator<Line> {
  let number = 0;
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of stream) {
    let from = 0;
    for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, from)) {
      number++;
      checkLength(number, restBytes + at - from);
      const text = textOf(number, Buffer.concat([...rest, chunk.subarray(from, at)]));
      [rest, restBytes, from] = [[], 0, at + 1];
      if (text !== "") yield { number, text };
    }
    if (from === chunk.length) continue;
    rest.push(chunk.subarray(from));
    restBytes += chunk.length - from;
    checkLength(number + 1, restBytes);
  }
  const text = textOf(number + 1, Buffer.concat(rest));
  if (text !== "") yield { number: number + 1, text };
}

function checkLength(number: number, bytes: number): void {
  if (bytes <= LINE_BYTES_MAX) return;
  throw new StreamError("MESSAGE_TOO_LARGE", `line ${number} has more than ${LINE_BYTES_MAX} bytes`);
}

function textOf(number: number, bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString("utf8").trim();
  throw new StreamError("INVALID_REQUEST", `line ${number} is not UTF-8`);
}
