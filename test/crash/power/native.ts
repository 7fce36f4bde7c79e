/** Builds the preload library when it is older than its source, and tells a program's environment about it. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, realpathSync, renameSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Environment } from "../../support/programs.ts";

const SOURCE = fileURLToPath(new URL("./power.c", import.meta.url));
const LIBRARY = fileURLToPath(new URL("../../../node_modules/.cache/power/power.so", import.meta.url));
const FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-pthread"];

function library(): string {
  if (existsSync(LIBRARY) && statSync(LIBRARY).mtimeMs > statSync(SOURCE).mtimeMs) return LIBRARY;
  mkdirSync(path.dirname(LIBRARY), { recursive: true });
  // Two test processes may build it at the same time; each finds a whole one.
  const built = `${LIBRARY}.${process.pid}`;
  execFileSync("cc", [...FLAGS, SOURCE, "-o", built, "-ldl"], { stdio: ["ignore", "inherit", "inherit"] });
  renameSync(built, LIBRARY);
  return LIBRARY;
}

/** For a program whose changes below `watched` are to be journalled. */
export function recordedBy(journal: string, watched: string, control?: string): Environment {
  return {
    LD_PRELOAD: library(),
    POWER_DIR: realpathSync(watched),
    POWER_JOURNAL: journal,
    ...(control === undefined ? {} : { POWER_CONTROL: control }),
    // io_uring would pass the library by.
    UV_USE_IO_URING: "0",
  };
}
