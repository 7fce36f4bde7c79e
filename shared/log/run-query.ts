/** Answers one query from a connection, the writer's or a reader's. */
import { invariant, unreachable } from "../invariant.ts";
import type { ExtensionMethods } from "./extension.ts";
import type { LogQuery } from "./log-messages.ts";
import type { LogReader } from "./log-reader.ts";

export function runQuery(
  reader: LogReader,
  extensions: ReadonlyMap<string, ExtensionMethods>,
  query: LogQuery,
): unknown {
  switch (query.type) {
    case "read":
      return reader.read(query);
    case "read-merged":
      return reader.readMerged(query);
    case "offset-for-timestamp":
      return reader.offsetForTimestamp(query, query.timestamp);
    case "max-timestamp":
      return reader.maxTimestamp(query);
    case "producer":
      return reader.producer(query.producerId);
    case "producers-of":
      return reader.producersOf(query.partitionId);
    case "call": {
      const method = extensions.get(query.call.extension)?.[query.call.method];
      invariant(method !== undefined, `the log has no method ${query.call.extension}.${query.call.method}`);
      return method(query.call.args as never);
    }
    default:
      return unreachable(query);
  }
}
