/** What a machine does not let a test do is said so loudly that nobody takes the run for more than it was. */
import type { TestContext } from "node:test";

export function tellNotTried(t: TestContext, name: string, obstacle: string): void {
  const line = `NOT TRIED HERE: ${name}. ${obstacle}`;
  process.stderr.write(`\n${"!".repeat(line.length)}\n${line}\n${"!".repeat(line.length)}\n\n`);
  t.diagnostic(line);
}
