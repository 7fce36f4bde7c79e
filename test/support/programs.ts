/**
 * Hub and agent as child processes: started as a user starts them, killed as a power cut kills them, and started again on
 * the same ports and data.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import type { Balance } from "../../agent/ledger/balance.ts";
import type { CompactionStats } from "../../hub/engine/engine.ts";
import type { EventLoopDelay } from "../../shared/event-loop-delay.ts";
import type { LogIntegrity } from "../../shared/log/log-integrity.ts";
import { TestChild } from "./child-process.ts";
import type { Exit } from "./child-process.ts";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";
import { freePort } from "./free-port.ts";
import { tempDir } from "./temp-dir.ts";

export const TRIBUTARY = fileURLToPath(new URL("../../bin/tributary.ts", import.meta.url));
const HOST = "127.0.0.1";
/** Two cores that everybody shares; a start by itself takes well under a second. */
const READY_MS_MAX = 20_000;
/** SIGTERM to the end, as promised, and a little for the machine. */
const TERM_MS_MAX = 11_000;

export type Environment = Readonly<Record<string, string | undefined>>;

export type ProgramOptions = {
  readonly data?: string;
  /** Becomes a YAML file. */
  readonly config?: object;
  /** Where a hub's HTTP listener is; loopback unless said otherwise. The test itself reaches it there in any case. */
  readonly httpHost?: string;
  readonly env?: Environment;
  /** Another one than the sources. */
  readonly program?: string;
  /** What the command begins with, such as a program that runs it in some surroundings. */
  readonly prefix?: readonly string[];
};

/** `tributary ARGS` as a child process, whatever becomes of it. */
export async function startTributary(
  t: After,
  args: readonly string[],
  env: Environment = {},
  onLine?: (line: string) => void,
): Promise<TestChild> {
  const child = await TestChild.spawn(childOptions([process.execPath, TRIBUTARY, ...args], env, onLine));
  onCleanUp(t, () => child.kill9());
  return child;
}

function childOptions(
  [command = "", ...args]: readonly string[],
  env: Environment,
  onLine: (line: string) => void = () => undefined,
) {
  // What the developer's own shell sets for tributary is not meant for the tests.
  const foreign = Object.keys(process.env).filter((name) => name.startsWith("TRIBUTARY_"));
  const ownEnv = { ...Object.fromEntries(foreign.map((name) => [name, undefined])), ...env };
  return { command, args, env: ownEnv, onLine };
}

/** A hub or an agent over all its lives. */
class Program {
  readonly data: string;
  readonly args: readonly string[];
  readonly #command: readonly string[];
  readonly #env: Environment;
  #child: TestChild | undefined;

  constructor(data: string, args: readonly string[], options: ProgramOptions) {
    const { program = TRIBUTARY, prefix = [], env = {} } = options;
    this.data = data;
    this.args = args;
    this.#command = [...prefix, process.execPath, program, ...args];
    this.#env = env;
  }

  /** Starts it, or starts it again, and waits until it is ready; `env` is for this life only. */
  async start(env: Environment = {}): Promise<void> {
    if (this.isRunning) throw new Error(`runs already: ${this.process.describe()}`);
    const ready = Promise.withResolvers<"ready">();
    const child = await TestChild.spawn(
      childOptions(this.#command, { ...this.#env, ...env }, () => ready.resolve("ready")),
    );
    this.#child = child;
    const timer = setTimeout(() => child.signal("SIGKILL"), READY_MS_MAX);
    const outcome = await Promise.race([ready.promise, child.exited]);
    clearTimeout(timer);
    if (outcome !== "ready")
      throw new Error(`ended, or was killed after ${READY_MS_MAX} ms, unready: ${child.describe()}`);
  }

  get process(): TestChild {
    if (this.#child === undefined) throw new Error("was never started");
    return this.#child;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exit === undefined;
  }

  kill9(): Promise<Exit> {
    return this.process.kill9();
  }

  /** The orderly end. @throws unless it comes in time and with exit code 0. */
  async term(): Promise<void> {
    this.process.signal("SIGTERM");
    const { code } = await this.process.exitWithin(TERM_MS_MAX);
    if (code !== 0) throw new Error(`SIGTERM did not end it in order: ${this.process.describe()}`);
  }

  async restart(env: Environment = {}): Promise<void> {
    await this.term();
    await this.start(env);
  }
}

/** Once for all its lives, so that those who use it end before it even where it was started again after them. */
function endedInTheEnd<Kind extends Program>(t: After, program: Kind): Kind {
  onCleanUp(t, () => (program.isRunning ? program.kill9() : undefined));
  return program;
}

export class HubProgram extends Program {
  readonly httpPort: number;
  readonly kafkaPort: number;

  private constructor(t: After, options: ProgramOptions, ports: { http: number; kafka: number }) {
    const data = options.data ?? tempDir(t);
    const listeners = ["--http", `${options.httpHost ?? HOST}:${ports.http}`, "--kafka", `${HOST}:${ports.kafka}`];
    super(data, ["hub", "--data", data, ...listeners, ...configArgs(t, options.config)], options);
    this.httpPort = ports.http;
    this.kafkaPort = ports.kafka;
  }

  /** Its ports are known before it runs, so that an agent can look for it first. */
  static async prepare(t: After, options: ProgramOptions = {}): Promise<HubProgram> {
    const ports = { http: await freePort(), kafka: await freePort() };
    return endedInTheEnd(t, new HubProgram(t, options, ports));
  }

  get kafkaAddress(): string {
    return `${HOST}:${this.kafkaPort}`;
  }

  get uplinkUrl(): string {
    return `ws://${HOST}:${this.httpPort}`;
  }

  async status(): Promise<HubStatusView> {
    const response = await fetch(`http://${HOST}:${this.httpPort}/status`);
    if (!response.ok) throw new Error(`/status answers ${response.status}: ${await response.text()}`);
    return (await response.json()) as HubStatusView;
  }
}

export class AgentProgram extends Program {
  readonly mqttPort: number;
  readonly adminUrl: string;

  private constructor(t: After, options: AgentOptions, ports: { mqtt: number; admin: number }) {
    const data = options.data ?? tempDir(t);
    const listeners = ["--mqtt", `${HOST}:${ports.mqtt}`, "--admin", `${HOST}:${ports.admin}`];
    const args = ["agent", "--data", data, ...listeners, "--hub", options.hub.uplinkUrl];
    super(data, [...args, ...configArgs(t, options.config)], options);
    this.mqttPort = ports.mqtt;
    this.adminUrl = `http://${HOST}:${ports.admin}`;
  }

  static async prepare(t: After, options: AgentOptions): Promise<AgentProgram> {
    const ports = { mqtt: await freePort(), admin: await freePort() };
    return endedInTheEnd(t, new AgentProgram(t, options, ports));
  }

  async status(): Promise<AgentStatusView> {
    const response = await fetch(`${this.adminUrl}/status`);
    if (!response.ok) throw new Error(`/status answers ${response.status}: ${await response.text()}`);
    return (await response.json()) as AgentStatusView;
  }
}

export type AgentOptions = ProgramOptions & { readonly hub: Pick<HubProgram, "uplinkUrl"> };

/** Of the hub's /status, what the tests look at. */
export type HubStatusView = {
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly highWatermark: number }[];
  }[];
  readonly losses: readonly { readonly topic: string; readonly reason: string; readonly records: number }[];
  readonly agents: readonly { readonly agent: string; readonly isConnected: boolean }[];
  readonly integrity: LogIntegrity;
  readonly compaction: CompactionStats;
  readonly process: { readonly eventLoopDelay: EventLoopDelay };
};

/** Of the agent's /status, what the tests look at. */
export type AgentStatusView = {
  readonly process: { readonly eventLoopDelay: EventLoopDelay };
  readonly log: {
    readonly capBytes: number;
    readonly pendingRecords: number;
    readonly historyRecords: number;
    readonly topics: readonly {
      readonly topic: string;
      readonly pendingRecords: number;
      readonly balances: readonly ({ readonly partition: number } & Balance)[];
    }[];
  };
  readonly ledger: Balance & {
    readonly losses: readonly { readonly topic: string; readonly reason: string; readonly records: number }[];
    readonly differences: readonly unknown[];
  };
  readonly clock: {
    readonly isKnown: boolean;
    readonly source: string | null;
    readonly doubt: string | null;
    readonly sessions: number;
  };
  readonly ingest: {
    readonly isWithoutRoom: boolean;
    readonly committedRecords: number;
    readonly duplicateMessages: number;
  };
  readonly uplink: {
    readonly isConnected: boolean;
    readonly connections: number;
    readonly failures: number;
    readonly lastError: { readonly code: string; readonly message: string; readonly hint: string } | null;
  } | null;
  readonly integrity: LogIntegrity;
};

function configArgs(t: After, config: object | undefined): string[] {
  return config === undefined ? [] : ["--config", writeConfig(t, stringify(config))];
}

/** A YAML file of this text; returns its name. */
export function writeConfig(t: After, yaml: string): string {
  const file = path.join(tempDir(t), "tributary.yaml");
  writeFileSync(file, yaml);
  return file;
}

export async function startHub(t: After, options: ProgramOptions = {}): Promise<HubProgram> {
  const hub = await HubProgram.prepare(t, options);
  await hub.start();
  return hub;
}

export async function startAgent(t: After, options: AgentOptions): Promise<AgentProgram> {
  const agent = await AgentProgram.prepare(t, options);
  await agent.start();
  return agent;
}
