/** Where a peer's program is: named by an environment variable, or on the PATH. */
import { accessSync, constants } from "node:fs";
import path from "node:path";

/** Where Debian has servers, which is not on everyone's PATH. */
const SERVER_DIRECTORIES = ["/usr/sbin", "/usr/local/sbin"];

/**
 * The programs of this name; `variable` may name several, divided by ":", for several versions beside one another.
 * None is no error: the caller leaves the peer out, and says so.
 */
export function findPrograms(name: string, variable: string): readonly string[] {
  const named = (process.env[variable] ?? "").split(":").filter((file) => file !== "");
  if (named.length > 0) {
    const missing = named.find((file) => !isExecutable(file));
    if (missing !== undefined) throw new Error(`${variable} names ${missing}, which cannot be run`);
    return named;
  }
  const directories = [...(process.env.PATH ?? "").split(path.delimiter), ...SERVER_DIRECTORIES];
  return directories
    .map((directory) => path.join(directory, name))
    .filter((file) => isExecutable(file))
    .slice(0, 1);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Loud, because a table without a column looks complete. */
export function sayMissing(peer: string, variable: string): void {
  process.stderr.write(`\n!!! ${peer} IS NOT COMPARED WITH: no such program on the PATH, nor named by ${variable}\n\n`);
}
