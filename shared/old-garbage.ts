/**
 * Has V8 look through a thread's whole heap after so many bytes of batches have passed. By itself it waits until the heap
 * has doubled: right for a server, but on a gateway that drains a backlog it is 5 MB more in the log's thread that nobody
 * uses. Such a look takes 5 to 10 ms there.
 */
import v8 from "node:v8";
import vm from "node:vm";

/** Between two looks. */
const PASSED_BYTES_MAX = 64 * 1024 * 1024;

/** What a program does when it is ready is done then. */
const STARTED_MS = 1000;

export class OldGarbage {
  #collect: (() => void) | undefined;
  #bytes = 0;

  /** `collect`: another one than V8's, for tests. */
  constructor(collect?: () => void) {
    this.#collect = collect;
  }

  /** So many bytes have passed. */
  passed(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < PASSED_BYTES_MAX) return;
    this.#bytes = 0;
    this.#collect ??= lookThrough();
    this.#collect();
  }
}

/**
 * Once, when a thread has started: sources, what was parsed, and what its modules needed to begin lie about otherwise
 * until the heap has doubled, and the code of what ran once. 7 MB of an agent that idles.
 */
export function collectAfterStart(): void {
  setTimeout(() => collection()({ type: "major", flavor: "last-resort" }), STARTED_MS).unref();
}

function lookThrough(): () => void {
  const collect = collection();
  return () => collect({ type: "major" });
}

type Look = { readonly type: "major"; readonly flavor?: "last-resort" };

/**
 * V8 shows its function for it only to contexts that are made while the flag is set. The flag is one for all threads, each
 * of which comes here about a second after the start; so it stays set, or one would take it from under another.
 */
function collection(): (look: Look) => void {
  v8.setFlagsFromString("--expose-gc");
  return vm.runInNewContext("gc") as (look: Look) => void;
}
