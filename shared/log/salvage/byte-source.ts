/** Bytes of a file that may be damaged: what the disk cannot read is missing, never an error. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

export interface ByteSource {
  readonly bytes: number;
  /** Undefined where the file ends before, or the disk cannot read. */
  read(at: number, length: number): Buffer | undefined;
}

export class FileBytes implements ByteSource {
  readonly #handle: number;
  readonly bytes: number;

  constructor(file: string) {
    this.#handle = openSync(file, "r");
    this.bytes = fstatSync(this.#handle).size;
  }

  read(at: number, length: number): Buffer | undefined {
    if (at + length > this.bytes) return undefined;
    const buffer = Buffer.allocUnsafe(length);
    try {
      for (let done = 0; done < length;) {
        const count = readSync(this.#handle, buffer, done, length - done, at + done);
        if (count === 0) return undefined;
        done += count;
      }
      return buffer;
    } catch {
      // A bad block (EIO): the caller does without it.
      return undefined;
    }
  }

  close(): void {
    closeSync(this.#handle);
  }
}
