/**
 * One worker thread of the log: sends commits and queries, matches answers to who waits for them.
 */
import { Worker } from "node:worker_threads";
import type { CrashPoint } from "../crash-point.ts";
import { StreamError, toStreamError } from "../errors.ts";
import type { Offset } from "../ids.ts";
import { unreachable } from "../invariant.ts";
import { fromFailure } from "../thread-failure.ts";
import type { Commit } from "./commit-gatherer.ts";
import type { CompactionQuery } from "./compaction-messages.ts";
import { RESERVE_BYTES } from "./disk-reserve.ts";
import type { AskedQuery, FromWorker, LogQuery, QueryAnswer, ToWorker, WorkerData } from "./log-messages.ts";

export type LogThreadOptions = {
  readonly directory: string;
  /** The program's worker file, which calls `serveLog` with its extensions. */
  readonly worker: URL;
  /** Where a crash test ends the process just before a flush. */
  readonly crashPointBeforeFsync: CrashPoint;
  /** How long appends of an `os` commit may wait for their flush, which others may share. */
  readonly flushDelayMs?: number;
  /** Room kept on the disk for freeing alone, see disk-reserve.ts. */
  readonly reserveBytes?: number;
  /** Offsets that a partition leaves out where damage has made its end uncertain, so that none is given out twice. */
  readonly skippedOnDamage?: Offset;
};

export type Opened = Extract<FromWorker, { type: "opened" }>;
export type Committed = Extract<FromWorker, { type: "committed" }>;

export type LogThreadListener = {
  committed(message: Committed): void;
  refused(refusal: { id: number; error: StreamError; spare: ArrayBuffer }): void;
  flushed(): void;
  swept(changed: Committed["changed"]): void;
  counting(bytes: number): void;
  salvaging(cause: string): void;
  givenUp(commits: number): void;
  room(hasRoom: boolean): void;
  held(walBytes: number): void;
  damage(damage: { partitionId: number; from: number; to: number }): void;
  fatal(error: StreamError): void;
};

/** Spares SD cards. */
const FLUSH_DELAY_MS = 500;

type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void };

export class LogThread {
  readonly #worker: Worker;
  readonly #listener: LogThreadListener;
  readonly #queries = new Map<number, Waiting>();
  /** Asked for in this turn: they go as one message, since waking a thread costs more than most answers. */
  #asked: AskedQuery[] = [];
  #nextId = 1;
  /** Settles when the thread is gone, for whatever reason. */
  readonly #exited: Promise<void>;
  #isClosing = false;

  private constructor(worker: Worker, listener: LogThreadListener) {
    this.#worker = worker;
    this.#listener = listener;
    this.#exited = new Promise((resolve) => worker.once("exit", () => resolve()));
  }

  /** @throws StreamError LOG_DIRECTORY, LOG_NOT_ALLOWED, LOG_LOCKED, LOG_VERSION, LOG_NOT_DURABLE, LOG_FULL, LOG_IO. */
  static async open(
    options: LogThreadOptions,
    role: WorkerData["role"],
    listener: LogThreadListener,
  ): Promise<{ thread: LogThread; opened: Opened }> {
    const { directory, crashPointBeforeFsync, reserveBytes = RESERVE_BYTES, flushDelayMs = FLUSH_DELAY_MS } = options;
    const { skippedOnDamage = 0 } = options;
    const workerData: WorkerData = {
      ...{ directory, role, crashPointBeforeFsync, reserveBytes, flushDelayMs, skippedOnDamage },
    };
    const worker = new Worker(options.worker, { workerData, name: `log-${role}` });
    const thread = new LogThread(worker, listener);
    return { thread, opened: await thread.#opened() };
  }

  /** Hands a commit over; `committed` or `refused` of the listener answers with its id. */
  commit(commit: Commit): number {
    const id = this.#nextId++;
    const { operations, bytes, bytesUsed, durability } = commit;
    this.#send({ type: "commit", id, operations, bytes, bytesUsed, durability }, [bytes]);
    return id;
  }

  ask(query: LogQuery): Promise<unknown> {
    return this.#await((id) => {
      if (this.#asked.length === 0) queueMicrotask(() => this.#sendAsked());
      this.#asked.push({ id, query });
    });
  }

  askCleaner(query: CompactionQuery): Promise<unknown> {
    return this.#await((id) => this.#send({ type: "compaction", id, query }));
  }

  failQueries(error: StreamError): void {
    for (const { reject } of this.#queries.values()) reject(error);
    this.#queries.clear();
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#send({ type: "close" });
    await this.#exited;
  }

  #await(send: (id: number) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#queries.set(id, { resolve, reject });
      send(id);
    });
  }

  #send(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.#sendAsked();
    this.#worker.postMessage(message, transfer);
  }

  #sendAsked(): void {
    if (this.#asked.length === 0) return;
    const message: ToWorker = { type: "queries", queries: this.#asked };
    this.#asked = [];
    this.#worker.postMessage(message, []);
  }

  #opened(): Promise<Opened> {
    return new Promise((resolve, reject) => {
      let isOpen = false;
      this.#worker.on("message", (message: FromWorker) => {
        if (message.type === "opened") {
          isOpen = true;
          resolve(message);
        } else if (message.type === "fatal" && !isOpen) {
          reject(fromFailure(message.failure));
          void this.#worker.terminate();
        } else {
          this.#receive(message);
        }
      });
      this.#worker.on("error", (error) => {
        if (!isOpen) return reject(toStreamError(error));
        this.#listener.fatal(new StreamError("LOG_IO", `the log's worker failed: ${String(error)}`, { cause: error }));
      });
      // A thread may also end without an error of its own; nobody would answer any more.
      this.#worker.on("exit", (exitCode) => {
        if (this.#isClosing) return;
        const error = new StreamError("LOG_IO", `the log's worker ended, exit code ${exitCode}`);
        if (isOpen) this.#listener.fatal(error);
        else reject(error);
      });
    });
  }

  #receive(message: FromWorker): void {
    switch (message.type) {
      case "committed":
        return this.#listener.committed(message);
      case "refused":
        return this.#listener.refused({ id: message.id, error: fromFailure(message.failure), spare: message.spare });
      case "answers":
        for (const answer of message.answers) this.#answered(answer);
        return;
      case "flushed":
        return this.#listener.flushed();
      case "swept":
        return this.#listener.swept(message.changed);
      case "counting":
        return this.#listener.counting(message.bytes);
      case "salvaging":
        return this.#listener.salvaging(message.cause);
      case "given-up":
        return this.#listener.givenUp(message.commits);
      case "room":
        return this.#listener.room(message.hasRoom);
      case "held":
        return this.#listener.held(message.walBytes);
      case "damage":
        return this.#listener.damage(message);
      case "fatal":
        return this.#listener.fatal(fromFailure(message.failure));
      case "opened":
      case "closed":
        return;
      default:
        return unreachable(message);
    }
  }

  #answered(answer: QueryAnswer): void {
    const waiting = this.#queries.get(answer.id);
    this.#queries.delete(answer.id);
    if ("value" in answer) waiting?.resolve(answer.value);
    else waiting?.reject(fromFailure(answer.failure));
  }
}
