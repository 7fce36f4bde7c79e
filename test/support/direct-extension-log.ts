/**
 * Extensions of the log without its worker thread: on a database file, one transaction a `call`, arguments and results
 * copied as they are on their way to a worker. Calls run in the order they came, each in a turn of its own.
 */
import Database from "better-sqlite3";
import type { ExtensionMethods, LogExtension } from "../../shared/log/extension.ts";
import type { ExtensionCall } from "../../shared/log/partitioned-log.ts";
import type { Durability } from "../../shared/record.ts";

export class DirectExtensionLog {
  readonly #database: Database.Database;
  readonly #extensions: ReadonlyMap<string, ExtensionMethods>;
  #previous: Promise<unknown> = Promise.resolve();
  #gate: Promise<void> = Promise.resolve();
  /** All calls and queries so far, for tests that ask what reached the log. */
  readonly calls: { readonly method: string; readonly durability: Durability | "query" }[] = [];
  /** While set, every call fails with it and nothing is stored. */
  failure: Error | undefined;

  constructor(file: string, extensions: readonly LogExtension[]) {
    this.#database = new Database(file);
    this.#database.pragma("journal_mode = WAL");
    for (const { schema } of extensions) this.#database.exec(schema);
    this.#extensions = new Map(extensions.map((each) => [each.name, each.prepare(this.#database)]));
  }

  call(calls: readonly ExtensionCall[], durability: Durability = "fsync"): Promise<unknown[]> {
    const cloned = structuredClone(calls);
    return this.#inTurn(async () => {
      await this.#gate;
      for (const { method } of cloned) this.calls.push({ method, durability });
      if (this.failure !== undefined) throw this.failure;
      return this.#database.transaction(() => cloned.map((call) => this.#run(call)))();
    });
  }

  query(call: ExtensionCall): Promise<unknown> {
    const cloned = structuredClone(call);
    return this.#inTurn(async () => {
      this.calls.push({ method: cloned.method, durability: "query" });
      return this.#run(cloned);
    });
  }

  /** Holds all commits back until the returned function is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    return resolve;
  }

  async close(): Promise<void> {
    await this.#previous.catch(() => undefined);
    this.#database.close();
  }

  #run({ extension, method, args }: ExtensionCall): unknown {
    const run = this.#extensions.get(extension)?.[method];
    if (run === undefined) throw new Error(`no method ${extension}.${method}`);
    return structuredClone(run(args as never));
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = async (): Promise<Result> => {
      await new Promise(setImmediate);
      return work();
    };
    const result = this.#previous.then(turn, turn);
    this.#previous = result;
    return result;
  }
}
