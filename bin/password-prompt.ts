/** Asks for a password: without showing it on a terminal, else the first line of the standard input. */
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { Writable } from "node:stream";
import { UsageError } from "./failure.ts";
import type { Output } from "./context.ts";

/** Longer is no password: a file that was meant for something else. */
export const PASSWORD_LENGTH_MAX = 1024;

export type PasswordTerminal = {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stderr: Output;
};

/** On a terminal it is asked for twice, because nobody sees a slip. @throws UsageError. */
export async function askPassword(user: string, { stdin, stderr }: PasswordTerminal): Promise<string> {
  const isTerminal = stdin.isTTY === true;
  const reader = new LineReader(stdin, isTerminal);
  try {
    if (!isTerminal) return checked(await reader.line());
    stderr.write(`Password of ${user}: `);
    const first = checked(await reader.line());
    stderr.write("\nOnce more: ");
    const second = await reader.line();
    stderr.write("\n");
    if (first !== second) throw new UsageError("the two passwords are not the same");
    return first;
  } finally {
    reader.close();
  }
}

function checked(line: string): string {
  if (line.length > PASSWORD_LENGTH_MAX) throw new UsageError(`the password is longer than ${PASSWORD_LENGTH_MAX}`);
  return line;
}

/** Lines as they come; on a terminal with what editing needs, but nothing is echoed. */
class LineReader {
  readonly #interface: ReturnType<typeof createInterface>;
  readonly #lines: AsyncIterator<string>;

  constructor(input: Readable, isTerminal: boolean) {
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    this.#interface = createInterface({ input, output: nowhere, terminal: isTerminal, historySize: 0 });
    // Ctrl-C ends the lines, as Ctrl-D does.
    this.#interface.on("SIGINT", () => this.#interface.close());
    this.#lines = this.#interface[Symbol.asyncIterator]();
  }

  /** @throws UsageError at the end of the input. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new UsageError("no password was given");
    return value;
  }

  close(): void {
    this.#interface.close();
  }
}
