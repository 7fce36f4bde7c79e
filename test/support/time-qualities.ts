/** How many records of a topic say what of their time, as kcat shows their headers. */
import type { After } from "./clean-up.ts";
import { TestChild } from "./child-process.ts";

const EXIT_MS_MAX = 60_000;

export async function qualities(t: After, address: string, topic: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const onLine = (line: string): void => {
    const quality = /time\.quality=(\w+)/.exec(line)?.[1] ?? "none";
    counts[quality] = (counts[quality] ?? 0) + 1;
  };
  const args = ["-b", address, "-q", "-e", "-C", "-t", topic, "-o", "beginning", "-u", "-f", "%o %h\\n"];
  const child = await TestChild.start(t, { command: "kcat", args, onLine });
  const { code } = await child.exitWithin(EXIT_MS_MAX);
  if (code !== 0) throw new Error(`kcat failed: ${child.describe()}`);
  return counts;
}
