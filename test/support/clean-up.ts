/**
 * Clean-up in reverse: what was started last ends first, so that a consumer leaves its group while the hub still runs.
 * `t.after` by itself goes the other way.
 */
import type { TestContext } from "node:test";

export type After = Pick<TestContext, "after">;
type CleanUp = () => unknown;

const stacks = new WeakMap<After, CleanUp[]>();

export function onCleanUp(t: After, cleanUp: CleanUp): void {
  const known = stacks.get(t);
  if (known !== undefined) {
    known.push(cleanUp);
    return;
  }
  const stack = [cleanUp];
  stacks.set(t, stack);
  t.after(async () => {
    const failures: unknown[] = [];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      // One that fails must not leave the processes of the others running.
      try {
        await next();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, "clean-up failed");
  });
}
