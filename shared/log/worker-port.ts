/** What every thread of the log does with its port: answers, tells of damage, and puts SQLite's errors in our terms. */
import type { MessagePort } from "node:worker_threads";
import { StreamError, toStreamError } from "../errors.ts";
import { toFailure } from "../thread-failure.ts";
import type { FromWorker, QueryAnswer } from "./log-messages.ts";

/** Answers that go together in one message; behind so many bytes the first do not wait for the others. */
export const ANSWER_BYTES_MAX = 4 * 1024;

export type Question = { readonly id: number; readonly run: () => unknown };

/** Returns why some have none, after it has told so. */
export function answer(port: MessagePort, questions: readonly Question[]): readonly StreamError[] {
  const failures: StreamError[] = [];
  let answers: QueryAnswer[] = [];
  let bytes = 0;
  for (const { id, run } of questions) {
    try {
      const value = run();
      answers.push({ id, value });
      bytes += bytesOf(value)?.byteLength ?? 0;
    } catch (error) {
      const failure = sqliteError(error);
      failures.push(failure);
      answers.push({ id, failure: toFailure(failure) });
    }
    if (bytes < ANSWER_BYTES_MAX) continue;
    post(port, { type: "answers", answers });
    answers = [];
    bytes = 0;
  }
  if (answers.length > 0) post(port, { type: "answers", answers });
  return failures;
}

export function damageTo(port: MessagePort) {
  return (partitionId: number, from: number, to: number): void => {
    post(port, { type: "damage", partitionId, from, to });
  };
}

export function post(port: MessagePort, message: FromWorker): void {
  port.postMessage(message, memoryOf(message));
}

/** Memory that crosses without a copy: a commit's goes back, a read's answer goes if the answer alone uses it. */
function memoryOf(message: FromWorker): ArrayBuffer[] {
  if (message.type === "committed" || message.type === "refused") return [message.spare];
  if (message.type !== "answers") return [];
  return message.answers.flatMap((each) => {
    const bytes = "value" in each ? bytesOf(each.value) : undefined;
    if (bytes === undefined) return [];
    const { buffer, byteLength } = bytes;
    return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && byteLength > 0 ? [buffer] : [];
  });
}

/** Of what was read: batches alone, or one with its offsets. */
function bytesOf(value: unknown): Buffer | undefined {
  if (Buffer.isBuffer(value)) return value;
  const { batch } = (value ?? {}) as { readonly batch?: unknown };
  return Buffer.isBuffer(batch) ? batch : undefined;
}

/** Of the files beside the database, by their names in errno.h. */
const diskErrors: ReadonlySet<string> = new Set(["EIO", "EROFS", "EACCES", "EPERM", "ENODEV", "ENXIO"]);

export function sqliteError(error: unknown): StreamError {
  const code = (error as { code?: unknown }).code;
  if (typeof code === "string" && diskErrors.has(code)) {
    return new StreamError("LOG_IO", error instanceof Error ? error.message : code, { cause: error });
  }
  if (typeof code !== "string" || !code.startsWith("SQLITE_")) return toStreamError(error);
  const message = error instanceof Error ? error.message : code;
  // The second is the index of the WAL, a file of its own that grows with it.
  if (code === "SQLITE_FULL" || code === "SQLITE_IOERR_SHMSIZE") {
    return new StreamError("LOG_FULL", message, { cause: error });
  }
  // The last: the file is shorter than it says.
  if (/^SQLITE_(CORRUPT|NOTADB|IOERR_SHORT_READ)/.test(code)) {
    return new StreamError("LOG_CORRUPT", `${code}: ${message}`, { cause: error });
  }
  return new StreamError("LOG_IO", `${code}: ${message}`, { cause: error });
}

/** Of bytes that have crossed over: they arrive as plain arrays. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
