/** What happens to the uplink, and what it orders: the words between the core (uplink.ts) and its runner. */
import type { StreamError } from "../../shared/errors.ts";
import type { Offset, ProducerEpoch, ProducerId, Sequence } from "../../shared/ids.ts";
import type { MergedBatch } from "../../shared/log/partitioned-log.ts";
import type { Acks } from "../../shared/record.ts";
import type { Announce, Gap, Hello, HubFrame } from "../../shared/uplink/frames.ts";
import type { LossRow } from "../ledger/loss-row.ts";
import type { AdoptChange } from "./epoch-table.ts";
import type { LanePolicy, LaneSource, RememberedLanes } from "./lane.ts";

export type UplinkIdentity = {
  readonly agent: string;
  readonly version: string;
  readonly producerId: ProducerId;
  /** For lanes of the slots from 1 on (windows.ts). */
  readonly sideProducers: readonly ProducerId[];
  /** Of this run of the program. */
  readonly instance: string;
};

export type CoreOptions = {
  /** Stored batches are joined up to this size. */
  readonly batchBytesMax: number;
  readonly inFlightBytesMax: number;
  /** Reads of the log at a time; what they return is sent or waits for credit. */
  readonly readsMax: number;
  /** Bytes the socket has not passed on; beyond it nothing more is read. */
  readonly socketBytesMax: number;
  /** Before a refused batch is sent again; doubles with each refusal up to `refusedMsMax`. */
  readonly refusedMsMin: number;
  readonly refusedMsMax: number;
  /** Nothing can be written down: a partition that needs a new epoch waits, for that has to be on disk before its first batch. */
  readonly isLogReadOnly?: boolean | undefined;
  /** What history gets of the link while new records wait, too. */
  readonly historyPercent: number;
  /** A partition that is `live-first` is divided when so much waits as the hub comes back: records, or bytes. */
  readonly historyRecordsMin: number;
  readonly historyBytesMin: number;
};

export type CoreParts = {
  readonly identity: () => UplinkIdentity;
  readonly policyOf: (topic: string) => LanePolicy;
  /** What the last run of the program left on disk. */
  readonly remembered: (source: LaneSource) => RememberedLanes;
  readonly options: CoreOptions;
};

export type UplinkEvent =
  | { readonly type: "sources"; readonly sources: Iterable<LaneSource> }
  | { readonly type: "opened" }
  | { readonly type: "frame"; readonly frame: HubFrame }
  /** Comes before "closed" if the connection ends meanwhile. */
  | { readonly type: "adopted"; readonly adopted: readonly { laneId: number; gaps: readonly LossRow[] }[] }
  /** Everything of the lane that is to be declared; some of it may be on its way. */
  | { readonly type: "gaps"; readonly laneId: number; readonly gaps: readonly LossRow[] }
  | { readonly type: "renewed" }
  | { readonly type: "read"; readonly laneId: number; readonly batch: MergedBatch | undefined }
  | { readonly type: "read-failed"; readonly laneId: number }
  /** A batch has left the process. */
  | { readonly type: "written"; readonly id: number; readonly bytes: number }
  | { readonly type: "timer"; readonly laneId: number }
  | { readonly type: "drain" }
  | { readonly type: "closed" };

export type OutgoingBatch = {
  readonly laneId: number;
  readonly id: number;
  readonly acks: Acks;
  readonly epoch: ProducerEpoch;
  readonly baseSequence: Sequence;
  readonly batch: Buffer;
};

export type UplinkEffect =
  | { readonly type: "send"; readonly frame: Hello | Announce | Gap }
  | { readonly type: "produce"; readonly produce: OutgoingBatch }
  | {
      readonly type: "read";
      readonly laneId: number;
      readonly offset: Offset;
      readonly bytesMax: number;
      /** A stored batch that is larger is cut. */
      readonly isSplit: boolean;
      /** Set for history: exclusive, and the records are marked. */
      readonly end?: Offset;
    }
  /** To disk, then "adopted". */
  | { readonly type: "adopt"; readonly changes: readonly AdoptChange[] }
  /** To disk under a new producer id, then "renewed". */
  | { readonly type: "renew"; readonly changes: readonly AdoptChange[] }
  | {
      readonly type: "settled";
      readonly laneId: number;
      readonly settled: Offset;
      readonly delivered: Delivered;
      readonly trimEnd: Offset;
    }
  /** The hub has the gap, with so many records. */
  | { readonly type: "gap-settled"; readonly gapId: number; readonly records: number }
  /** So many records of the partition are delivered or declared, and the hub says how much it has. */
  | {
      readonly type: "reconcile";
      readonly laneId: number;
      readonly settled: number;
      /** Undefined while the two sides begin to count anew. */
      readonly hubRecords: number | undefined;
      /** A hub that says nothing of the partition has nothing of it in its ledger. */
      readonly hubLost: number;
    }
  | { readonly type: "timer"; readonly laneId: number; readonly delayMs: number }
  | { readonly type: "partition-count"; readonly topic: string; readonly count: number }
  | { readonly type: "disconnect"; readonly error: StreamError }
  | {
      readonly type: "note";
      readonly level: "info" | "warn" | "error";
      readonly text: string;
      readonly fields: Readonly<Record<string, unknown>>;
    };

export type Delivered = { readonly records: number; readonly acks: Acks };
