/**
 * Has V8 look through a thread's whole heap after so many bytes of batches have passed. By itself it waits until the heap
 * has doubled: right for a server, but on a gateway that drains a backlog it is 5 MB more in the log's thread that nobody
 * uses. Such a look takes 5 to 10 ms there.
 */
import v8 from "node:v8";
import vm from "node:vm";

/** Between two looks. */
const PASSED_BYTES_MAX = 64 * 1024 * 1024;

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
    this.#collect ??= majorCollection();
    this.#collect();
  }
}

/** V8 shows its function for it only to contexts that are made while the flag is set. */
function majorCollection(): () => void {
  v8.setFlagsFromString("--expose-gc");
  const collect = vm.runInNewContext("gc") as (options: { readonly type: "major" }) => void;
  v8.setFlagsFromString("--no-expose-gc");
  return () => collect({ type: "major" });
}
