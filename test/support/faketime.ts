/** A program whose system clock shows what the test says, by libfaketime; its monotonic clock is left alone. */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { After } from "./clean-up.ts";
import { tempDir } from "./temp-dir.ts";

const LIBRARIES = "/usr/lib";
const LIBRARY = "faketime/libfaketimeMT.so.1";

export type FakeClock = {
  /** For the program's start. */
  readonly env: Readonly<Record<string, string>>;
  /** As libfaketime reads it: "+0", "-1h", "+5000d", … against the real time; takes effect at once. */
  readonly set: (offset: string) => void;
};

/** @throws when the Debian package `faketime` is not installed. */
export function fakeClock(t: After, offset = "+0"): FakeClock {
  const library = readdirSync(LIBRARIES)
    .map((directory) => path.join(LIBRARIES, directory, LIBRARY))
    .find((file) => existsSync(file));
  if (library === undefined) throw new Error("libfaketime is not installed: apt-get install faketime");
  const file = path.join(tempDir(t), "time");
  const set = (to: string): void => writeFileSync(file, `${to}\n`);
  set(offset);
  const env = {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
  return { env, set };
}
