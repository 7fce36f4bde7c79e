/**
 * Gathers what the next commit will carry and packs it: all bytes into one piece of memory that moves to the worker
 * without being copied again, all operations into one list.
 */
import type { OpenBatch } from "../batch/batch-builder.ts";
import { StreamError } from "../errors.ts";
import { invariant } from "../invariant.ts";
import type { Durability } from "../record.ts";
import type { AppendedValue, CommitOperation, OperationResult, ReplaceBatches } from "./log-messages.ts";
import type { CommitPart, CommitSource } from "./partitioned-log.ts";

export type Requester = {
  readonly durability: Durability;
  /** At once when it is stored, where `resolve` is heard a turn later. */
  readonly done?: (() => void) | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
};

/** `keepsProducer`: what is known of its producer stays for good. */
export type BatchAppend = { readonly partitionId: number; readonly batch: Buffer; readonly keepsProducer: boolean };

type QueuedOperation = { readonly operation: CommitOperation; readonly requester: Requester };
type QueuedReplacement = {
  readonly replace: ReplaceBatches;
  readonly bytes: Uint8Array;
  readonly requester: Requester;
};
type QueuedBatch = BatchAppend & { readonly requester: Requester };

type Queued = QueuedOperation | QueuedBatch | QueuedReplacement;

/** One commit on its way, and who waits for it. */
export type Commit = {
  readonly operations: readonly CommitOperation[];
  /** What the operations' stretches point into; the rest of it means nothing. */
  readonly bytes: ArrayBuffer;
  readonly bytesUsed: number;
  readonly durability: Durability;
  /** Records of the sources and requests of others. */
  readonly messages: number;
  /** One result for each operation. */
  settle(results: readonly OperationResult[]): void;
  fail(error: StreamError): void;
};

/** A commit takes at most about this much; what is over waits for the next, so that no transaction starves the answers. */
const COMMIT_BYTES_MAX = 16 * 1024 * 1024;

export class CommitGatherer {
  readonly #sources: CommitSource[] = [];
  #queue: Queued[] = [];

  /** Whether requests wait. Sources are asked only when a commit is taken. */
  get hasWork(): boolean {
    return this.#queue.length > 0;
  }

  addSource(source: CommitSource): void {
    this.#sources.push(source);
  }

  addOperation(operation: CommitOperation, requester: Requester): void {
    this.#queue.push({ operation, requester });
  }

  addBatch(append: BatchAppend, requester: Requester): void {
    this.#queue.push({ ...append, requester });
  }

  addReplacement(replace: ReplaceBatches, bytes: Uint8Array, requester: Requester): void {
    this.#queue.push({ replace, bytes, requester });
  }

  fail(error: StreamError): void {
    for (const { requester } of this.#queue.splice(0)) requester.reject(error);
    for (const source of this.#sources) source.take()?.failed(error);
  }

  /** `spare`: memory of an earlier commit, used again if it is large enough. */
  take(spare: ArrayBuffer | undefined): Commit | undefined {
    const packer = new Packer();
    for (const source of this.#sources) {
      const part = source.take();
      if (part !== undefined) packer.addPart(part);
    }
    let taken = 0;
    while (taken < this.#queue.length && packer.bytes < COMMIT_BYTES_MAX) {
      const queued = this.#queue[taken++] as Queued;
      if ("batch" in queued) packer.addBatch(queued);
      else if ("replace" in queued) packer.addReplacement(queued);
      else packer.addOperation(queued);
    }
    this.#queue = taken === this.#queue.length ? [] : this.#queue.slice(taken);
    return packer.isEmpty ? undefined : packer.pack(spare);
  }
}

/** The next power of two, so that commits of similar sizes can use one another's memory. */
function roomFor(bytes: number): number {
  return bytes === 0 ? 0 : 2 ** Math.ceil(Math.log2(bytes));
}

type Settler = {
  readonly count: number;
  settle(results: readonly OperationResult[]): void;
  fail(error: StreamError): void;
};

class Packer {
  bytes = 0;
  #durability: Durability = "os";
  readonly #operations: CommitOperation[] = [];
  readonly #pieces: Uint8Array[] = [];
  readonly #settlers: Settler[] = [];
  #messages = 0;

  get isEmpty(): boolean {
    return this.#operations.length === 0;
  }

  addPart(part: CommitPart): void {
    const number = this.#settlers.length;
    for (const { partition, records } of part.appends) this.#addRecords(partition.id, records, number);
    for (const call of part.calls) this.#operations.push({ type: "call", call, part: number });
    this.#want(part.durability);
    for (const { records } of part.appends) this.#messages += records.recordCount;
    const appendCount = part.appends.length;
    this.#settlers.push({
      count: appendCount + part.calls.length,
      settle: (results) => {
        const refused = results.find((result) => "failure" in result);
        // A part stands or falls as a whole; only an append to a topic deleted meanwhile can be refused here.
        if (refused !== undefined) part.failed(errorOf(refused));
        else part.done(results.slice(0, appendCount).map(appendedOf));
      },
      fail: part.failed,
    });
  }

  addOperation({ operation, requester }: QueuedOperation): void {
    this.#operations.push(operation);
    this.#want(requester.durability);
    this.#messages++;
    this.#settlers.push(single(requester));
  }

  addBatch({ partitionId, batch, keepsProducer, requester }: QueuedBatch): void {
    this.#operations.push({ type: "append-batch", partitionId, keepsProducer, ...this.#addBytes(batch) });
    this.#want(requester.durability);
    this.#messages++;
    this.#settlers.push(single(requester));
  }

  addReplacement({ replace, bytes, requester }: QueuedReplacement): void {
    this.#operations.push({ type: "replace-batches", ...replace, ...this.#addBytes(bytes) });
    this.#want(requester.durability);
    this.#messages++;
    this.#settlers.push(single(requester));
  }

  pack(spare: ArrayBuffer | undefined): Commit {
    const isEnough = spare !== undefined && spare.byteLength >= this.bytes;
    const bytes = isEnough ? spare : new ArrayBuffer(roomFor(this.bytes));
    const target = new Uint8Array(bytes);
    let at = 0;
    for (const piece of this.#pieces) {
      target.set(piece, at);
      at += piece.length;
    }
    const settlers = this.#settlers;
    return {
      operations: this.#operations,
      bytes,
      bytesUsed: this.bytes,
      durability: this.#durability,
      messages: this.#messages,
      settle: (results) => {
        let from = 0;
        for (const settler of settlers) {
          settler.settle(results.slice(from, from + settler.count));
          from += settler.count;
        }
      },
      fail: (error) => {
        for (const settler of settlers) settler.fail(error);
      },
    };
  }

  #addRecords(partitionId: number, records: OpenBatch, part: number): void {
    const { recordCount, baseTimestamp, maxTimestamp } = records;
    const stretch = this.#addBytes(new Uint8Array(records.buffer, 0, records.bytes));
    const what = { recordCount, baseTimestamp, maxTimestamp };
    this.#operations.push({ type: "append-records", partitionId, ...stretch, ...what, part });
  }

  #addBytes(piece: Uint8Array): { from: number; to: number } {
    const from = this.bytes;
    this.#pieces.push(piece);
    this.bytes += piece.length;
    return { from, to: this.bytes };
  }

  #want(durability: Durability): void {
    if (durability === "fsync") this.#durability = "fsync";
  }
}

function single(requester: Requester): Settler {
  return {
    count: 1,
    settle: ([result]) => {
      if (result === undefined || !("value" in result)) return requester.reject(errorOf(result));
      requester.done?.();
      requester.resolve(result.value);
    },
    fail: requester.reject,
  };
}

function appendedOf(result: OperationResult): AppendedValue {
  invariant("value" in result, "an append without an offset");
  return result.value as AppendedValue;
}

function errorOf(result: OperationResult | undefined): StreamError {
  invariant(result !== undefined && "failure" in result, "an operation without a result");
  const { code, message, details } = result.failure;
  return new StreamError(code, message, { details: { ...details } });
}
