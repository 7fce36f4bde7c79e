/** A driver of test/interop/clients: one client library behind the common protocol of that folder's README. */
import { TestChild } from "./child-process.ts";
import type { After } from "./clean-up.ts";
import { waitUntil } from "./wait-until.ts";

export type Codec = "none" | "gzip" | "snappy" | "lz4" | "zstd";
export const codecs: readonly Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];

export type Mechanism = "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";

/** How to reach the hub: part of every command. */
export type Connection = {
  readonly bootstrap: string;
  readonly sasl?: { readonly mechanism: Mechanism; readonly username: string; readonly password: string };
  readonly tls?: { readonly caFile: string };
};

export type About = {
  readonly client: string;
  readonly version: string;
  readonly codecs: readonly Codec[];
  /** Where it can read others than it writes. */
  readonly reads?: readonly Codec[];
  readonly mechanisms: readonly Mechanism[];
  /** Features that the library does not have, with the reason. */
  readonly without: Readonly<Record<string, string>>;
};

export type ProduceArguments = Connection & {
  readonly topic: string;
  readonly count: number;
  readonly prefix: string;
  readonly codec: Codec;
  readonly acks: 0 | 1 | -1;
  readonly idempotent: boolean;
  readonly partition?: number;
  readonly perRequest?: number;
  readonly backoffMs?: number;
};

export type ConsumedRecord = {
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: Readonly<Record<string, string>>;
};

export type SoughtPosition = {
  readonly partition: number;
  readonly offset: number | null;
  readonly first: { readonly offset: number; readonly timestamp: number } | null;
};

export type AdminAnswer = { readonly call: string; readonly result?: unknown; readonly error?: string };

export type MemberArguments = Connection & {
  readonly group: string;
  readonly topic: string;
  readonly instanceId?: string;
  readonly protocol?: "classic" | "consumer";
  readonly sessionTimeoutMs?: number;
};

/** A command takes so long at the most, on two cores that a virtual machine's start has to itself. */
const COMMAND_MS_MAX = 120_000;

export type DriverLaunch = {
  readonly command: string;
  readonly args: readonly string[];
  /** Arguments of every command, besides its own. */
  readonly constants?: object;
};

export class ClientDriver {
  readonly #launch: DriverLaunch;
  /** What the last command wrote to stderr, its end. */
  complaints = "";

  constructor(launch: DriverLaunch) {
    this.#launch = launch;
  }

  async about(t: After): Promise<About> {
    const [about] = await this.#run<About>(t, "about", {});
    if (about === undefined) throw new Error("the driver says nothing about itself");
    return about;
  }

  /** Returns how many records were acknowledged. */
  async produce(t: After, args: ProduceArguments): Promise<number> {
    const [end] = (await this.#run<{ delivered: number }>(t, "produce", args)).slice(-1);
    return end?.delivered ?? -1;
  }

  consume(t: After, args: Connection & { readonly topic: string; readonly count: number }) {
    return this.#run<ConsumedRecord>(t, "consume", args);
  }

  seekTimestamp(t: After, args: Connection & { readonly topic: string; readonly timestamp: number }) {
    return this.#run<SoughtPosition>(t, "seek-timestamp", args);
  }

  admin(t: After, args: Connection & { readonly topic: string; readonly group: string }) {
    return this.#run<AdminAnswer>(t, "admin", args);
  }

  async member(t: After, args: MemberArguments): Promise<DriverMember> {
    const member = new DriverMember();
    const child = await TestChild.start(t, {
      command: this.#launch.command,
      args: [...this.#launch.args, "member", JSON.stringify({ ...this.#launch.constants, ...args })],
      hasInput: true,
      onLine: (line) => member.hear(line),
    });
    member.child = child;
    return member;
  }

  async #run<Line>(t: After, command: string, args: object): Promise<readonly Line[]> {
    const lines: (Line & { readonly error?: string })[] = [];
    const child = await TestChild.start(t, {
      command: this.#launch.command,
      args: [...this.#launch.args, command, JSON.stringify({ ...this.#launch.constants, ...args })],
      onLine: (line) => lines.push(parseLine(line) as Line & { readonly error?: string }),
    });
    const { code } = await child.exitWithin(COMMAND_MS_MAX);
    this.complaints = child.stderrTail;
    if (code !== 0) throw new Error(`${command} failed: ${lines.at(-1)?.error ?? child.describe()}`);
    return lines;
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new Error(`a driver wrote what is not JSON: ${line}`, { cause });
  }
}

type MemberLine = {
  readonly assigned?: readonly number[];
  readonly record?: readonly [partition: number, offset: number, value: string];
  readonly left?: true;
  readonly error?: string;
};

export type ReadRecord = { readonly partition: number; readonly offset: number; readonly value: string };

/** A running group member, and what it has told so far. */
export class DriverMember {
  assigned: readonly number[] = [];
  /** Every assignment, in order. */
  readonly assignments: (readonly number[])[] = [];
  readonly records: ReadRecord[] = [];
  hasLeft = false;
  error: string | undefined;
  #child: TestChild | undefined;

  hear(line: string): void {
    const { assigned, record, left, error } = parseLine(line) as MemberLine;
    if (assigned !== undefined) {
      this.assigned = assigned.toSorted((a, b) => a - b);
      this.assignments.push(this.assigned);
    }
    if (record !== undefined) this.records.push({ partition: record[0], offset: record[1], value: record[2] });
    if (left === true) this.hasLeft = true;
    if (error !== undefined) this.error = error;
  }

  set child(child: TestChild) {
    this.#child = child;
  }

  get child(): TestChild {
    if (this.#child === undefined) throw new Error("the member was not started");
    return this.#child;
  }

  describe(): string {
    return `[${this.assigned.join(" ")}] ${this.records.length} read${this.error === undefined ? "" : `, ${this.error}`}`;
  }

  /** The orderly end. @throws when the driver says that it failed. */
  async leave(deadlineMs: number): Promise<void> {
    this.child.endInput();
    const { code } = await this.child.exitWithin(deadlineMs);
    if (code !== 0 || !this.hasLeft)
      throw new Error(`the member did not leave: ${this.error ?? this.child.describe()}`);
  }
}

/** Waits until the members hold all of `partitions`, each held by one, and each member holds some. */
export async function waitForBalance(
  members: readonly DriverMember[],
  partitions: readonly number[],
  deadlineMs: number,
): Promise<void> {
  await waitUntil(
    () => {
      const held = members.flatMap(({ assigned }) => assigned).toSorted((a, b) => a - b);
      return members.every(({ assigned }) => assigned.length > 0) && held.join(" ") === partitions.join(" ");
    },
    {
      what: `${members.length} members that hold the partitions ${partitions.join(" ")}`,
      deadlineMs,
      describe: () =>
        members.map((member) => `${member.describe()}\n${member.child.stderrTail.slice(-2000)}`).join("; "),
    },
  );
}
