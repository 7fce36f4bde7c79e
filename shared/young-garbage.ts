/**
 * Has V8 look through its young objects after so many bytes of short-lived buffers. V8 does so by itself when its own
 * heap has grown, to which a buffer of 256 KiB adds some hundred bytes: while a backlog is drained, tens of MiB of buffers
 * that nobody uses any more would lie about in each thread. Such a look takes less than a millisecond.
 */
import v8 from "node:v8";
import vm from "node:vm";

/** Between two looks. */
const GARBAGE_BYTES_MAX = 2 * 1024 * 1024;

export class YoungGarbage {
  #collect: (() => void) | undefined;
  #bytes = 0;

  constructor(collect?: () => void) {
    this.#collect = collect;
  }

  /** So many bytes are used no more, or will not be in a moment. */
  add(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < GARBAGE_BYTES_MAX) return;
    this.#bytes = 0;
    this.#collect ??= minorCollection();
    this.#collect();
  }
}

/** V8 shows its function for it only to contexts that are made while the flag is set. */
function minorCollection(): () => void {
  v8.setFlagsFromString("--expose-gc");
  const collect = vm.runInNewContext("gc") as (options: { readonly type: "minor" }) => void;
  v8.setFlagsFromString("--no-expose-gc");
  return () => collect({ type: "minor" });
}
