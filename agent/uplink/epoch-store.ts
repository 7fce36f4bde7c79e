/** The uplink's tables as the agent's main thread uses them: calls into the log's worker. */
import { randomBytes } from "node:crypto";
import type { ProducerId } from "../../shared/ids.ts";
import { invariant } from "../../shared/invariant.ts";
import type { ExtensionCall, LogPartition, PartitionedLog } from "../../shared/log/partitioned-log.ts";
import type { Declaration, LossLedger } from "../ledger/loss-ledger.ts";
import { EPOCH_EXTENSION } from "./epoch-table.ts";
import type { AdoptChange, OpenArgs, OpenResult, RenewArgs, SettleChange } from "./epoch-table.ts";
import { UPLINK_SIDE_PRODUCERS_MAX } from "../../shared/uplink/frames.ts";
import type { PartitionMemory } from "./resume.ts";
import { partitionIdOf } from "./windows.ts";
import type { WindowStart } from "./windows.ts";

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
  #sideProducers: readonly ProducerId[];
  /** By lane, as they were when the program started. */
  readonly memories: ReadonlyMap<number, PartitionMemory>;
  /** By partition, as they were then; oldest first. */
  readonly windows: ReadonlyMap<number, readonly WindowStart[]>;

  private constructor(
    log: Pick<UplinkLog, "call">,
    ledger: LossLedger,
    { producerId, sideProducers, places, windows }: OpenResult,
  ) {
    this.#log = log;
    this.ledger = ledger;
    this.#producerId = producerId;
    this.#sideProducers = sideProducers;
    this.windows = Map.groupBy(windows, ({ partitionId }) => partitionId);
    this.memories = new Map(
      places.map(({ laneId, settled, fence, epochs }) => [
        laneId,
        { settled, fence: fence ?? undefined, sentEnd: settled, epochs },
      ]),
    );
  }

  /** Durable on return: the producer id, and the fences of this start. `ends` is how the start found the log. */
  static async open(log: Pick<UplinkLog, "call">, ledger: LossLedger, ends: LogEnds): Promise<EpochStore> {
    const args: OpenArgs = { producerId: newProducerId(), sideProducers: newSideProducers(), partitions: ends };
    const [opened] = await log.call([toCall("open", args)]);
    return new EpochStore(log, ledger, opened as OpenResult);
  }

  get producerId(): ProducerId {
    return this.#producerId;
  }

  /** For the slots from 1 on. */
  get sideProducers(): readonly ProducerId[] {
    return this.#sideProducers;
  }

  /** Of a slot. */
  producerOf(slot: number): ProducerId {
    const producerId = slot === 0 ? this.#producerId : this.#sideProducers[slot - 1];
    invariant(producerId !== undefined, `no producer ${slot}`);
    return producerId;
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
    const args: RenewArgs = { producerId: newProducerId(), sideProducers: newSideProducers(), changes };
    // Gaps are declared by the new producer: the epochs of the old one end where they do not fit the wire any more.
    await this.#persist(
      toCall("renew", args),
      changes.map((change) => ({ ...change, epoch: 0 })),
    );
    this.#producerId = args.producerId;
    this.#sideProducers = args.sideProducers;
  }

  /** One commit: the uplink's own call, and what the changes mean for the ledger. */
  async #persist(own: ExtensionCall, changes: readonly AdoptChange[]): Promise<void> {
    const partitions = Map.groupBy(changes, ({ laneId }) => partitionIdOf(laneId)).values();
    const planned = [...partitions].map((each) => this.ledger.planDeclaration(declarationOf(each)));
    await this.#log.call([own, ...planned.flatMap(({ calls }) => calls)]);
    for (const { apply } of planned) apply();
  }
}

/** What the changes of one partition's lanes mean for its books. */
function declarationOf(changes: readonly AdoptChange[]): Declaration {
  const [first] = changes;
  invariant(first !== undefined, "nothing is to be declared");
  const { topic, partition } = first;
  const parts = changes.map(({ gaps: ranges, epoch, newEpoch, settled, own }) => {
    return { ranges, epoch, from: newEpoch?.previousEnd ?? settled, settled, own };
  });
  return { topic, partition, parts, recount: changes.find(({ recount }) => recount !== undefined)?.recount };
}

function toCall(method: string, args: unknown): ExtensionCall {
  return { extension: EPOCH_EXTENSION, method, args };
}

function newSideProducers(): ProducerId[] {
  return Array.from({ length: UPLINK_SIDE_PRODUCERS_MAX }, newProducerId);
}

/** 63 random bits; not 0, which some Kafka tools take for none. */
function newProducerId(): ProducerId {
  return (randomBytes(8).readBigUInt64BE() >> 1n) | 1n;
}
