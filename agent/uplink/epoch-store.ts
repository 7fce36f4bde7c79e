/** The uplink's tables as the agent's main thread uses them: calls into the log's worker. */
import { randomBytes } from "node:crypto";
import type { ProducerId } from "../../shared/ids.ts";
import type { ExtensionCall, LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { LedgerChange, LossLedger } from "../ledger/loss-ledger.ts";
import { EPOCH_EXTENSION } from "./epoch-table.ts";
import type { AdoptChange, OpenArgs, OpenResult, RenewArgs, SettleChange } from "./epoch-table.ts";
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
  readonly ledger: LossLedger;
  #producerId: ProducerId;
  /** As they were when the program started. */
  readonly memories: ReadonlyMap<number, PartitionMemory>;

  private constructor(log: Pick<UplinkLog, "call">, ledger: LossLedger, { producerId, places }: OpenResult) {
    this.#log = log;
    this.ledger = ledger;
    this.#producerId = producerId;
    this.memories = new Map(
      places.map(({ partitionId, settled, fence, epochs }) => [
        partitionId,
        { settled, fence: fence ?? undefined, sentEnd: settled, epochs },
      ]),
    );
  }

  /** Durable on return: the producer id, and the fences of this start. `ends` is how the start found the log. */
  static async open(log: Pick<UplinkLog, "call">, ledger: LossLedger, ends: LogEnds): Promise<EpochStore> {
    const args: OpenArgs = { producerId: newProducerId(), partitions: ends };
    const [opened] = await log.call([toCall("open", args)]);
    return new EpochStore(log, ledger, opened as OpenResult);
  }

  get producerId(): ProducerId {
    return this.#producerId;
  }

  /** Durable on return, and so are the ledger's rows of the gaps. */
  async adopt(changes: readonly AdoptChange[]): Promise<void> {
    await this.#persist(toCall("adopt", changes), changes);
  }

  /** Need not be durable: what is forgotten is settled again after the next welcome. */
  async settle(changes: readonly SettleChange[]): Promise<void> {
    await this.#log.call([toCall("settle", changes)], "os");
  }

  /** Durable on return. All epochs begin anew under another producer id. */
  async renewProducer(changes: readonly AdoptChange[]): Promise<void> {
    const args: RenewArgs = { producerId: newProducerId(), changes };
    // Gaps are declared by the new producer: the epochs of the old one end where they do not fit the wire any more.
    await this.#persist(
      toCall("renew", args),
      changes.map((change) => ({ ...change, epoch: 0, hubRecords: 0 })),
    );
    this.#producerId = args.producerId;
  }

  /** One commit: the uplink's own call, and what the changes mean for the ledger. */
  async #persist(own: ExtensionCall, changes: readonly AdoptChange[]): Promise<void> {
    const planned: LedgerChange[] = changes.map(({ gaps: ranges, newEpoch, ...change }) =>
      this.ledger.planDeclaration({ ...change, ranges, from: newEpoch?.previousEnd ?? change.settled }),
    );
    await this.#log.call([own, ...planned.flatMap(({ calls }) => calls)]);
    for (const { apply } of planned) apply();
  }
}

function toCall(method: string, args: unknown): ExtensionCall {
  return { extension: EPOCH_EXTENSION, method, args };
}

/** 63 random bits; not 0, which some Kafka tools take for none. */
function newProducerId(): ProducerId {
  return (randomBytes(8).readBigUInt64BE() >> 1n) | 1n;
}
