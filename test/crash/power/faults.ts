/** Makes calls of a program under the preload library fail or wait, from now on and while it runs (`struct control` in power.c). */
import { openSync, writeFileSync, writeSync } from "node:fs";
import os from "node:os";

const CONTROL_BYTES = 112;
/** Offsets of the fields that are used here; all are 32 bits, in the machine's own order. */
const fields = { flushesFailFrom: 0, flushesFailCount: 4, flushDelayMs: 8, writeErrno: 16 } as const;
const FOR_GOOD = 0xffff_ffff;

const errnos = { EIO: os.constants.errno.EIO, EROFS: 30, ENOSPC: os.constants.errno.ENOSPC } as const;
export type WriteError = keyof typeof errnos;

export class DiskFaults {
  readonly file: string;
  readonly #handle: number;

  /** `file`: for POWER_CONTROL. */
  constructor(file: string) {
    this.file = file;
    writeFileSync(file, Buffer.alloc(CONTROL_BYTES));
    this.#handle = openSync(file, "r+");
  }

  /** The next flush fails with EIO, and the ones after it as often as told; the one after those is made. */
  failFlushes(count = 1): void {
    this.#set("flushesFailCount", count);
    this.#set("flushesFailFrom", 1);
  }

  slowFlushes(delayMs: number): void {
    this.#set("flushDelayMs", delayMs);
  }

  /** Whatever changes a file fails. */
  failWrites(error: WriteError): void {
    this.#set("writeErrno", errnos[error]);
    if (error !== "ENOSPC") this.failFlushes(FOR_GOOD);
  }

  heal(): void {
    for (const name of Object.keys(fields)) this.#set(name as keyof typeof fields, 0);
  }

  #set(field: keyof typeof fields, value: number): void {
    const bytes = Buffer.alloc(4);
    if (os.endianness() === "LE") bytes.writeUInt32LE(value);
    else bytes.writeUInt32BE(value);
    writeSync(this.#handle, bytes, 0, bytes.length, fields[field]);
  }
}
