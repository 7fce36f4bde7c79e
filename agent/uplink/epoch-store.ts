/** The uplink's tables as the agent's main thread uses them: calls into the log's worker. */
import { randomBytes } from "node:crypto";
import type { ProducerId } from "../../shared/ids.ts";
import type { ExtensionCall, LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import { EPOCH_EXTENSION } from "./epoch-table.ts";
import type {
  AdoptChange,
  OpenArgs,
  OpenResult,
  PendingGap,
  RenewArgs,
  SettleChange,
  StoredGap,
} from "./epoch-table.ts";
import type { PartitionMemory } from "./resume.ts";

export type UplinkLog = Pick<PartitionedLog, "topics" | "call" | "readMerged" | "trim" | "onCommit">;

/** The partitions and where they end. */
export type LogEnds = OpenArgs["partitions"];

export function logEnds(log: Pick<UplinkLog, "topics">): LogEnds {
  return [...log.topics.values()]
    .flatMap((topic): readonly LogPartition[] => topic.partitions)
    .map(({ id, logEndOffset }) => ({ id, logEndOffset }));
}

export class EpochStore {
  readonly #log: Pick<UplinkLog, "call">;
  #producerId: ProducerId;
  /** As they were when the program started. */
  readonly memories: ReadonlyMap<number, PartitionMemory>;
  readonly gaps: readonly StoredGap[];

  private constructor(log: Pick<UplinkLog, "call">, { producerId, places, gaps }: OpenResult) {
    this.#log = log;
    this.#producerId = producerId;
    this.memories = new Map(
      places.map(({ partitionId, settled, fence, epochs }) => [
        partitionId,
        { settled, fence: fence ?? undefined, sentEnd: settled, epochs },
      ]),
    );
    this.gaps = gaps;
  }

  /** Durable on return: the producer id, and the fences of this start. `ends` is how the start found the log. */
  static async open(log: Pick<UplinkLog, "call">, ends: LogEnds): Promise<EpochStore> {
    const args: OpenArgs = { producerId: newProducerId(), partitions: ends };
    const [opened] = await log.call([toCall("open", args)]);
    return new EpochStore(log, opened as OpenResult);
  }

  get producerId(): ProducerId {
    return this.#producerId;
  }

  /** Durable on return. For each change, the gaps of its partition that the hub has not confirmed. */
  async adopt(changes: readonly AdoptChange[]): Promise<readonly (readonly PendingGap[])[]> {
    const [gaps] = await this.#log.call([toCall("adopt", changes)]);
    return gaps as PendingGap[][];
  }

  /** Need not be durable: what is forgotten is settled again after the next welcome. */
  async settle(changes: readonly SettleChange[]): Promise<void> {
    await this.#log.call([toCall("settle", changes)], "os");
  }

  /** Need not be durable: a gap that is declared again is the same entry in the hub's ledger. */
  async settleGap(id: number): Promise<void> {
    await this.#log.call([toCall("settleGap", id)], "os");
  }

  /** Durable on return. All epochs begin anew under another producer id. */
  async renewProducer(changes: readonly AdoptChange[]): Promise<void> {
    const args: RenewArgs = { producerId: newProducerId(), changes };
    await this.#log.call([toCall("renew", args)]);
    this.#producerId = args.producerId;
  }
}

function toCall(method: string, args: unknown): ExtensionCall {
  return { extension: EPOCH_EXTENSION, method, args };
}

/** 63 random bits; not 0, which some Kafka tools take for none. */
function newProducerId(): ProducerId {
  return (randomBytes(8).readBigUInt64BE() >> 1n) | 1n;
}
