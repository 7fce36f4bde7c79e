import { AssertionError } from "node:assert";

/**
 * A programmer's error: the process must not go on. Never caught; the supervisor restarts the program, which recovers
 * from its log.
 */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError({ message });
}

/** For the default branch of a switch over a closed union: a compile error when a member is added and not handled. */
export function unreachable(value: never): never {
  throw new AssertionError({ message: `unreachable: ${String(value)}` });
}
