/**
 * Hub and agent as child processes: started as a user starts them, killed as a power cut kills them, and started again on
 * the same ports and data.
 */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
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
  readonly env?: Environment;
};

type Ready = Readonly<Record<string, string>> & { readonly ready: string };

/** `tributary ARGS` with its ready line, for programs that are expected to start. */
async function startProgram(t: After, args: readonly string[], env: Environment) {
  let announce: (ready: Ready) => void;
  const readyLine = new Promise<Ready>((resolve) => {
    announce = resolve;
  });
  const child = await startTributary(t, args, env, (line) => announce(JSON.parse(line) as Ready));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), READY_MS_MAX);
  });
  const outcome = await Promise.race([readyLine, child.exited, late]);
  clearTimeout(timer);
  if (outcome !== "late" && "ready" in outcome) return { child, ready: outcome };
  await child.kill9();
  const what = outcome === "late" ? `no ready line within ${READY_MS_MAX} ms` : "ended before it was ready";
  throw new Error(`${what}: ${child.describe()}`);
}

/** `tributary ARGS` as a child process, whatever becomes of it. */
export function startTributary(
  t: After,
  args: readonly string[],
  env: Environment = {},
  onLine?: (line: string) => void,
): Promise<TestChild> {
  // What the developer's own shell sets for tributary is not meant for the tests.
  const foreign = Object.keys(process.env).filter((name) => name.startsWith("TRIBUTARY_"));
  const ownEnv = { ...Object.fromEntries(foreign.map((name) => [name, undefined])), ...env };
  const options = { command: process.execPath, args: [TRIBUTARY, ...args], env: ownEnv };
  return TestChild.start(t, onLine === undefined ? options : { ...options, onLine });
}

/** A hub or an agent over all its lives. */
class Program {
  readonly data: string;
  readonly args: readonly string[];
  readonly #t: After;
  readonly #env: Environment;
  #child: TestChild | undefined;
  #ready: Ready | undefined;

  constructor(t: After, data: string, args: readonly string[], env: Environment) {
    this.#t = t;
    this.data = data;
    this.args = args;
    this.#env = env;
  }

  /** Starts it, or starts it again; `env` is for this life only. */
  async start(env: Environment = {}): Promise<void> {
    if (this.isRunning) throw new Error(`runs already: ${this.process.describe()}`);
    // What a crash left behind is seen by the next start: its stderr is kept apart from the life before.
    const { child, ready } = await startProgram(this.#t, this.args, { ...this.#env, ...env });
    this.#child = child;
    this.#ready = ready;
  }

  get process(): TestChild {
    if (this.#child === undefined) throw new Error("was never started");
    return this.#child;
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exit === undefined;
  }

  address(listener: string): string {
    const address = this.#ready?.[listener];
    if (address === undefined) throw new Error(`the ready line has no ${listener}: ${JSON.stringify(this.#ready)}`);
    return address;
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

/** Asked for before its directories are made, because those go in the order in which they came. */
function endedBeforeItsFiles<Kind extends Program>(t: After, create: () => Kind): Kind {
  let program: Kind | undefined;
  onCleanUp(t, () => (program?.isRunning === true ? program.kill9() : undefined));
  program = create();
  return program;
}

export class HubProgram extends Program {
  readonly httpPort: number;
  readonly kafkaPort: number;

  private constructor(t: After, options: ProgramOptions, ports: { http: number; kafka: number }) {
    const data = options.data ?? tempDir(t);
    const listeners = ["--http", `${HOST}:${ports.http}`, "--kafka", `${HOST}:${ports.kafka}`];
    super(t, data, ["hub", "--data", data, ...listeners, ...configArgs(t, options.config)], options.env ?? {});
    this.httpPort = ports.http;
    this.kafkaPort = ports.kafka;
  }

  /** Its ports are known before it runs, so that an agent can look for it first. */
  static async prepare(t: After, options: ProgramOptions = {}): Promise<HubProgram> {
    const ports = { http: await freePort(), kafka: await freePort() };
    return endedBeforeItsFiles(t, () => new HubProgram(t, options, ports));
  }

  get kafkaAddress(): string {
    return `${HOST}:${this.kafkaPort}`;
  }

  get uplinkUrl(): string {
    return `ws://${HOST}:${this.httpPort}`;
  }
}

export class AgentProgram extends Program {
  readonly mqttPort: number;
  readonly adminUrl: string;

  private constructor(t: After, options: AgentOptions, ports: { mqtt: number; admin: number }) {
    const data = options.data ?? tempDir(t);
    const listeners = ["--mqtt", `${HOST}:${ports.mqtt}`, "--admin", `${HOST}:${ports.admin}`];
    const args = ["agent", "--data", data, ...listeners, "--hub", options.hub.uplinkUrl];
    super(t, data, [...args, ...configArgs(t, options.config)], options.env ?? {});
    this.mqttPort = ports.mqtt;
    this.adminUrl = `http://${HOST}:${ports.admin}`;
  }

  static async prepare(t: After, options: AgentOptions): Promise<AgentProgram> {
    const ports = { mqtt: await freePort(), admin: await freePort() };
    return endedBeforeItsFiles(t, () => new AgentProgram(t, options, ports));
  }

  async status(): Promise<AgentStatusView> {
    const response = await fetch(`${this.adminUrl}/status`);
    if (!response.ok) throw new Error(`/status answers ${response.status}: ${await response.text()}`);
    return (await response.json()) as AgentStatusView;
  }
}

export type AgentOptions = ProgramOptions & { readonly hub: Pick<HubProgram, "uplinkUrl"> };

/** Of the agent's /status, what the tests look at. */
export type AgentStatusView = {
  readonly log: {
    readonly pendingRecords: number;
    readonly topics: readonly { readonly topic: string; readonly pendingRecords: number }[];
  };
  readonly losses: readonly { readonly topic: string; readonly reason: string; readonly count: number }[];
  readonly ingest: { readonly committedRecords: number; readonly duplicateMessages: number };
  readonly uplink: { readonly isConnected: boolean } | null;
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
