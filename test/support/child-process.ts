/** A child process that cannot outlive its test, with what it wrote kept for the error messages. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** Of stderr, the end: what a program says last is what explains its end. */
const STDERR_TAIL_LENGTH_MAX = 64 * 1024;

export type ChildOptions = {
  readonly command: string;
  readonly args: readonly string[];
  /** On top of the test's own environment; undefined removes. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Of stdout. */
  readonly onLine?: (line: string) => void;
  /** Keeps stdin open until `endInput`; otherwise it is empty. */
  readonly hasInput?: boolean;
  /** Of stdout, instead of lines: for what comes too fast to be looked at. */
  readonly onData?: (chunk: Buffer) => void;
};

export class TestChild {
  readonly pid: number;
  /** Resolves after the streams are through, so `stderrTail` is complete then. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #name: string;
  #stderrTail = "";
  #exit: Exit | undefined;

  private constructor(child: ChildProcess, pid: number, options: ChildOptions) {
    this.#child = child;
    this.pid = pid;
    this.#name = [options.command, ...options.args].join(" ");
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderrTail = (this.#stderrTail + text).slice(-STDERR_TAIL_LENGTH_MAX);
    });
    const { onLine = () => undefined, onData } = options;
    if (onData !== undefined) child.stdout?.on("data", onData);
    else if (child.stdout !== null) createInterface({ input: child.stdout, crlfDelay: Infinity }).on("line", onLine);
    this.exited = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        this.#exit = { code, signal };
        resolve(this.#exit);
      });
    });
  }

  /** As `spawn`, and ended with the test. */
  static async start(t: After, options: ChildOptions): Promise<TestChild> {
    const started = await TestChild.spawn(options);
    onCleanUp(t, () => started.kill9());
    return started;
  }

  /** Whoever calls it ends it. @throws when there is no such command, and says so. */
  static async spawn(options: ChildOptions): Promise<TestChild> {
    const child = spawn(options.command, options.args, {
      stdio: [options.hasInput === true ? "pipe" : "ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (cause) => {
        reject(new Error(`${options.command} cannot be run; it must be installed for this test`, { cause }));
      });
    });
    const { pid } = child;
    if (pid === undefined) throw new Error(`${options.command} was started and has no process id`);
    return new TestChild(child, pid, options);
  }

  get exit(): Exit | undefined {
    return this.#exit;
  }

  get stderrTail(): string {
    return this.#stderrTail;
  }

  /** `last` is what it reads before the end. */
  endInput(last = ""): void {
    this.#child.stdin?.end(last);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#exit === undefined) this.#child.kill(signal);
  }

  /** As a power cut ends it; returns when it is gone. */
  async kill9(): Promise<Exit> {
    this.signal("SIGKILL");
    return this.exited;
  }

  /** @throws when it does not end by itself in time. */
  async exitWithin(deadlineMs: number): Promise<Exit> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`still runs after ${deadlineMs} ms: ${this.describe()}`)), deadlineMs);
    });
    try {
      return await Promise.race([this.exited, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  describe(): string {
    const end = this.#exit === undefined ? "running" : `ended with ${this.#exit.signal ?? this.#exit.code}`;
    return `${this.#name} (pid ${this.pid}, ${end})\n${this.#stderrTail}`;
  }
}
