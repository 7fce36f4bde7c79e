/**
 * The uplink protocol `tributary.v3` between agent and hub: a WebSocket whose every message is one CBOR map with a `t`
 * that names it, and four bytes that tell whether it arrived as it was sent (frame-seal.ts; what v1 had not). Plain maps,
 * so that any CBOR library can read them. Several small `produce` may come as one message, a pack (frame-pack.ts; what v2
 * had not). The agent shows its token in the upgrade request, before any frame.
 *
 *   agent                                                hub
 *   hello {agent, producer, instance, version, topics} ▶
 *         ◀───────────────────  welcome {positions, topics, credit, time}
 *   announce {topics} ─────────────────────────────────▶  made, or grown, since the hello, or too many for it
 *         ◀───────────────────  announced {positions, topics}
 *   produce {id, topic, partition, acks, batch} ───────▶  acks none: answered only when refused
 *   gap {id, topic, partition, epoch, from, to, …} ────▶  before the first batch of the epoch
 *         ◀───────────────────  ack {id, baseOffset}  |  nack {id, code, message, retriable}
 *         ◀───────────────────  credit {bytes}            so many more bytes of batches may be sent
 *   status {…}                                ─────────▶
 */
import type { Offset, Partition, ProducerEpoch, ProducerId, Sequence, Timestamp } from "../ids.ts";
import type { Acks } from "../record.ts";

export const UPLINK_SUBPROTOCOL = "tributary.v3";
/** What is spoken with an older peer: the same without packs. */
export const UPLINK_SUBPROTOCOL_WITHOUT_PACKS = "tributary.v2";
/** All that are spoken, the best first. */
export const uplinkSubprotocols = [UPLINK_SUBPROTOCOL, UPLINK_SUBPROTOCOL_WITHOUT_PACKS] as const;
/** Where the hub's HTTP listener serves it. */
export const UPLINK_PATH = "/uplink";
/** A message on the uplink, either way. */
export const UPLINK_MESSAGE_BYTES_MAX = 4 * 1024 * 1024;
/** The largest batch that fits into a message together with the other fields of `produce`. */
export const UPLINK_BATCH_BYTES_MAX = UPLINK_MESSAGE_BYTES_MAX - 1024;
/**
 * A `produce` with a batch of up to so many bytes waits for the end of its turn, and goes in a pack with others. Larger
 * batches are compressed well as they are, and come too often under load.
 */
export const UPLINK_PACKED_BATCH_BYTES_MAX = 512;
/** Batches of one partition that may be on their way at once; the hub remembers as many for its deduplication. */
export const UPLINK_IN_FLIGHT_PER_PARTITION_MAX = 5;
/** What one batch may become when it is decompressed. */
export const UPLINK_DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024;
/** Partitions that one hello or announce asks for, but for a topic that alone has more; announces ask for the rest. */
export const UPLINK_ASK_PARTITIONS_MAX = 5000;
/** A status as a message: a few figures, which the hub keeps of every agent. */
export const UPLINK_STATUS_BYTES_MAX = 16 * 1024;
/** Further producers of an installation, for records that are sent out of turn: history behind new ones. */
export const UPLINK_SIDE_PRODUCERS_MAX = 3;
/** Gaps that may wait for the hub's disk at once. */
export const UPLINK_GAPS_IN_FLIGHT_MAX = 100;
/** The producer epoch is an int16 in the record batch. */
export const PRODUCER_EPOCH_MAX = 32_767;

/**
 * Why records that an agent had accepted will never arrive. `rewound`: they had arrived, and were removed at the agent
 * for that, but the hub no longer knows of them: it was restored from an older state, or lost its data.
 */
export const lossReasons = ["overflow", "expired", "oversized", "corrupt", "overload", "rewound"] as const;
export type LossReason = (typeof lossReasons)[number];

export type HelloTopic = { readonly name: string; readonly partitions: number };

export type Hello = {
  readonly t: "hello";
  readonly agent: string;
  /** The installation: 63 random bits. */
  readonly producer: ProducerId;
  /** Its further producers, if it may use them; losses are always declared by the first. */
  readonly sideProducers?: readonly ProducerId[];
  /** The running program, made anew at each start: tells a second one with the same data from a new connection. */
  readonly instance: string;
  readonly version: string;
  readonly topics: readonly HelloTopic[];
};

/** Where the hub stands with this producer. Absent for a partition that holds nothing of it. */
export type UplinkPosition = {
  readonly topic: string;
  readonly partition: Partition;
  /** Absent for the installation's first producer. */
  readonly sideProducer?: ProducerId;
  readonly epoch: ProducerEpoch;
  readonly lastSequence: Sequence;
  /** Records of this producer that the partition has ever stored, over all epochs. */
  readonly records: number;
  /** Records of the partition that the hub's ledger has as lost by this producer. */
  readonly lost: number;
};

export type Welcome = {
  readonly t: "welcome";
  readonly positions: readonly UplinkPosition[];
  /** The topics of the hello as they exist at the hub; its partition counts rule. */
  readonly topics: readonly HelloTopic[];
  /** Bytes of batches the agent may send before it hears of more. A batch larger than that is sent alone. */
  readonly credit: number;
  /** The hub's wall clock. */
  readonly time: Timestamp;
};

/** Topics that were made, or got more partitions, after the hello, or that did not fit into it. */
export type Announce = { readonly t: "announce"; readonly topics: readonly HelloTopic[] };

/** Answers `announce`, in the order in which they came. */
export type Announced = {
  readonly t: "announced";
  readonly positions: readonly UplinkPosition[];
  readonly topics: readonly HelloTopic[];
};

export type Produce = {
  readonly t: "produce";
  /** Counts up from 1 within a connection; gaps count along. */
  readonly id: number;
  readonly topic: string;
  readonly partition: Partition;
  readonly acks: Acks;
  readonly batch: Uint8Array;
};

export type Gap = {
  readonly t: "gap";
  readonly id: number;
  readonly topic: string;
  readonly partition: Partition;
  /** The epoch that begins after the gap; 0 for records that were never stored. */
  readonly epoch: ProducerEpoch;
  /**
   * First and last (inclusive) offset of the agent's own log that is lost. `to` is `from` - 1 for records that were
   * dropped before they had an offset; they would have come before `from`.
   */
  readonly from: Offset;
  readonly to: Offset;
  /** Tells gaps apart that have everything else in common; the same one has the same when it is declared again. */
  readonly entry: number;
  /** May have grown when the gap is declared again. */
  readonly records: number;
  readonly reason: LossReason;
  /** When the first and the last of them were lost, by the agent's wall clock. */
  readonly since: Timestamp;
  readonly until: Timestamp;
};

export type Status = { readonly t: "status"; readonly status: Readonly<Record<string, unknown>> };

export type Ack = { readonly t: "ack"; readonly id: number; readonly baseOffset: Offset };
export type Nack = {
  readonly t: "nack";
  readonly id: number;
  readonly code: string;
  readonly message: string;
  readonly retriable: boolean;
};
export type Credit = { readonly t: "credit"; readonly bytes: number };

export type AgentFrame = Hello | Announce | Produce | Gap | Status;
export type HubFrame = Welcome | Announced | Ack | Nack | Credit;
