/** The log's reading threads: answer queries from a read-only connection, reads or the steps of compaction. */
import type { MessagePort } from "node:worker_threads";
import type { Database } from "better-sqlite3";
import { LogCleaner } from "./log-cleaner.ts";
import type { AskedQuery, ToWorker, WorkerData } from "./log-messages.ts";
import { LogReader } from "./log-reader.ts";
import { openForReading } from "./open-database.ts";
import { runQuery } from "./run-query.ts";
import { answer, damageTo, post } from "./worker-port.ts";

export class ReaderServer {
  readonly #port: MessagePort;
  readonly #database: Database;
  readonly #reader: LogReader;
  readonly #cleaner: LogCleaner;

  constructor(port: MessagePort, data: WorkerData) {
    this.#port = port;
    this.#database = openForReading(data.directory);
    this.#reader = new LogReader(this.#database, damageTo(port));
    this.#cleaner = new LogCleaner(this.#database, this.#reader);
    post(port, { type: "opened", logId: "", topics: [], partitions: [], endHoles: [], incidents: [] });
  }

  handle(message: ToWorker): void {
    if (message.type === "queries") {
      const run = ({ id, query }: AskedQuery) => ({ id, run: () => runQuery(this.#reader, new Map(), query) });
      answer(this.#port, message.queries.map(run));
    } else if (message.type === "compaction") {
      answer(this.#port, [{ id: message.id, run: () => this.#cleaner.answer(message.query) }]);
    } else if (message.type === "close") {
      this.#database.close();
      post(this.#port, { type: "closed" });
      this.#port.close();
    }
  }
}
