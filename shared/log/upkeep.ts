/** What a log does however full it is: such operations empty it or keep its books, and need a few pages at the most. */
import { invariant } from "../invariant.ts";
import type { ExtensionMethods, LogExtension } from "./extension.ts";
import type { CommitOperation } from "./log-messages.ts";
import type { ExtensionCall } from "./partitioned-log.ts";

const FREEING: ReadonlySet<CommitOperation["type"]> = new Set([
  "trim",
  "retain",
  "expired-end",
  "mark-age",
  "delete-topic",
  "expire-producers",
  "barrier",
]);

/** Make room in the end, and need more than a few pages meanwhile. */
const COMPACTING: ReadonlySet<CommitOperation["type"]> = new Set(["replace-batches", "compaction-checkpoint"]);

export class Upkeep {
  /** `extension.method` */
  readonly #methods: ReadonlySet<string>;

  constructor(extensions: readonly LogExtension[], methodsOf: ReadonlyMap<string, ExtensionMethods>) {
    const methods = new Set<string>();
    for (const { name, upkeep = [] } of extensions) {
      for (const method of upkeep) {
        invariant(methodsOf.get(name)?.[method] !== undefined, `the log has no method ${name}.${method}`);
        methods.add(`${name}.${method}`);
      }
    }
    this.#methods = methods;
  }

  has(operation: CommitOperation): boolean {
    if (operation.type === "call") return this.#isUpkeep(operation.call);
    if (operation.type === "trim" && !operation.calls.every((call) => this.#isUpkeep(call))) return false;
    return FREEING.has(operation.type);
  }

  #isUpkeep({ extension, method }: ExtensionCall): boolean {
    return this.#methods.has(`${extension}.${method}`);
  }

  /** Whether the log is fuller after it. */
  fills(operation: CommitOperation): boolean {
    return !this.has(operation) && !COMPACTING.has(operation.type);
  }

  /** Which operations of a commit are upkeep; of a part of it all or none. */
  of(operations: readonly CommitOperation[]): (operation: CommitOperation) => boolean {
    const others = new Set(operations.filter((each) => !this.has(each)));
    const parts = new Set([...others].map(partOf));
    return (operation) => {
      const part = partOf(operation);
      return !others.has(operation) && (part === undefined || !parts.has(part));
    };
  }
}

function partOf(operation: CommitOperation): number | undefined {
  return "part" in operation ? operation.part : undefined;
}
