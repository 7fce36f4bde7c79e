/**
 * Reading, sending and settling while a connection lasts: what goes out next, and what an answer means.
 *
 * A lane that may send is read, and what comes back is sent at once: no linger. As long as something of a lane is in
 * flight, its next batch waits until it is worth sending, so batches grow by themselves under load and on slow links.
 * At most UPLINK_IN_FLIGHT_PER_PARTITION_MAX batches of a lane are in flight, but one only until the first is
 * acknowledged: a hub that knows nothing of a producer takes any sequence, and a second batch must not slip in where
 * the first was refused.
 *
 *   refused, may pass later      everything from there again, after a wait
 *   refused for ever             the stored batches one by one; the one that is refused again is declared lost
 *   out of step with the hub     connect again: the welcome says where the hub stands
 *
 * Where new records do not wait behind history, lanes of history wait behind all others, but for their share, and little
 * of them is on its way at once, because what is on its way cannot be overtaken.
 *
 * A new epoch begins only when nothing of the lane is in flight, because the hub forgets the older one with it.
 */
import { StreamError } from "../../shared/errors.ts";
import type { Offset } from "../../shared/ids.ts";
import { invariant, unreachable } from "../../shared/invariant.ts";
import type { MergedBatch } from "../../shared/log/partitioned-log.ts";
import {
  UPLINK_BATCH_BYTES_MAX,
  UPLINK_GAPS_IN_FLIGHT_MAX,
  UPLINK_IN_FLIGHT_PER_PARTITION_MAX,
} from "../../shared/uplink/frames.ts";
import type { LossReason, Nack } from "../../shared/uplink/frames.ts";
import { entryOf } from "../ledger/loss-row.ts";
import type { LossRow } from "../ledger/loss-row.ts";
import { BatchSize } from "./batch-size.ts";
import { HistoryShare } from "./history-share.ts";
import { batchesInFlight, gapsOf, isHistory, isQuiet, trimEndOf, waitingBytes } from "./lane.ts";
import type { Lane, Remedy, SentBatch, SentItem } from "./lane.ts";
import { ReadyLanes } from "./ready-lanes.ts";
import type { LostRange } from "./resume.ts";
import { SendWindow } from "./send-window.ts";
import type { CoreOptions, UplinkEffect } from "./uplink-events.ts";

export type SenderPorts = {
  readonly options: CoreOptions;
  readonly emit: (effect: UplinkEffect) => void;
  /** Nothing of the lane is in flight; `range` starts at its next record. */
  readonly lose: (lane: Lane, range: LostRange) => void;
};

/** The hub and we disagree about where we stand. */
const RESYNC_CODES: ReadonlySet<string> = new Set(["OUT_OF_ORDER_SEQUENCE_NUMBER", "INVALID_PRODUCER_EPOCH"]);
/** The same bytes will be refused for ever. Anything else may pass some day, and is kept. */
const POISON_CODES: ReadonlySet<string> = new Set([
  "MESSAGE_TOO_LARGE",
  "INVALID_RECORD",
  "INVALID_TIMESTAMP",
  "UNSUPPORTED_COMPRESSION_TYPE",
]);
/** A batch that fills half of what one may hold is worth sending while others are in flight. */
const WORTH_SENDING_SHARE = 0.5;
/** Of history, before anything is answered: 4 s on a link of 2 Mbit/s, which new records wait at the most. */
export const HISTORY_IN_FLIGHT_BYTES_MAX = 1024 * 1024;
const SEQUENCE_COUNT = 2 ** 31;
/** Fits no batch, so that the log returns the first stored one alone. */
const ONE_STORED_BATCH_BYTES = 1;

export class LaneSender {
  readonly #ports: SenderPorts;
  readonly #options: CoreOptions;
  readonly #window: SendWindow;
  readonly #batchSize: BatchSize;
  readonly #ready = new ReadyLanes();
  readonly #readyHistory = new ReadyLanes();
  readonly #share: HistoryShare;
  /** Being read, on their way, or waiting for credit. */
  #historyBytes = 0;
  readonly #inFlight = new Map<number, { readonly lane: Lane; readonly item: SentItem }>();
  /** Lanes with a batch that waits for credit, in the order of their reads. */
  #unsent: Lane[] = [];
  #gapsInFlight = 0;
  /** Lanes whose gaps wait until another one is confirmed. */
  readonly #gapWaiters = new Set<Lane>();
  #nextId = 1;
  /** Bytes of batches that the socket has not passed on. */
  #socketBytes = 0;
  isDraining = false;

  constructor(ports: SenderPorts) {
    this.#ports = ports;
    this.#options = ports.options;
    this.#window = new SendWindow(ports.options);
    const { batchBytesMax, historyPercent: percent } = ports.options;
    this.#batchSize = new BatchSize(batchBytesMax);
    this.#share = new HistoryShare({ percent, batchBytesMax });
  }

  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  get inFlightBytes(): number {
    return this.#window.inFlightBytes;
  }

  /** Nothing is being read, sent or answered. */
  get isQuiet(): boolean {
    return this.#inFlight.size === 0 && this.#window.reads === 0 && this.#unsent.length === 0;
  }

  /** A connection begins; 0 when it has ended. */
  open(creditBytes: number): void {
    if (creditBytes === 0) this.#batchSize.connectionEnded(this.#window.inFlightBytes > 0);
    this.#window.open(creditBytes);
    this.#ready.clear();
    this.#readyHistory.clear();
    this.#historyBytes = 0;
    this.#inFlight.clear();
    this.#unsent = [];
    this.#gapsInFlight = 0;
    this.#gapWaiters.clear();
    this.#nextId = 1;
    this.#socketBytes = 0;
  }

  /** The lane may have something to send. */
  wake(lane: Lane): void {
    if (lane.phase === "active") (isHistory(lane) ? this.#readyHistory : this.#ready).add(lane);
  }

  grant(bytes: number): void {
    if (this.#window.grant(bytes)) return;
    this.#disconnect("the hub granted more than its window");
  }

  /** Sends and reads as long as there is room and something to send. */
  pump(): void {
    while (this.#unsent.length > 0) {
      const lane = this.#unsent[0] as Lane;
      const { unsent } = lane;
      // A refusal may have taken it away.
      if (unsent !== undefined) {
        if (!this.#window.canSend(unsent.batch.length)) break;
        lane.unsent = undefined;
        this.#produce(lane, unsent);
      }
      this.#unsent.shift();
    }
    if (this.isDraining) return;
    while (this.#hasRoom()) {
      const lane = this.#takeReady();
      if (lane === undefined) return;
      this.#serve(lane);
    }
  }

  #takeReady(): Lane | undefined {
    if (this.#historyBytes >= HISTORY_IN_FLIGHT_BYTES_MAX) return this.#ready.take();
    const isDue = this.#share.isDue;
    const first = isDue ? this.#readyHistory.take() : this.#ready.take();
    return first ?? (isDue ? this.#ready.take() : this.#readyHistory.take());
  }

  #hasRoom(): boolean {
    if (this.#window.reads + this.#unsent.length >= this.#options.readsMax) return false;
    if (this.#socketBytes >= this.#options.socketBytesMax) return false;
    return this.#window.hasRoom(this.#unsent.reduce((sum, { unsent }) => sum + (unsent?.batch.length ?? 0), 0));
  }

  #serve(lane: Lane): void {
    if (lane.phase !== "active" || lane.isReading || lane.unsent !== undefined) return;
    const { source, next } = lane;
    const gap = lane.gaps.find(({ from }) => from <= next);
    if (gap !== undefined) {
      this.#sendGap(lane, gap);
      return;
    }
    if (source.logStartOffset > next) {
      this.#remedy(lane, { type: "lose", range: { from: next, to: source.logStartOffset - 1, reason: "overflow" } });
      return;
    }
    if (next >= source.logEndOffset || !this.#mayFly(lane)) return;
    lane.isReading = true;
    lane.readEnd = source.logEndOffset;
    this.#window.readStarted();
    const bytesMax = lane.isIsolating ? ONE_STORED_BATCH_BYTES : this.#batchSize.bytes;
    const isSplit = !lane.isIsolating && this.#batchSize.isReduced;
    const { end } = lane.window;
    const range = end === Infinity ? {} : { end };
    if (isHistory(lane)) this.#historyBytes += this.#options.batchBytesMax;
    this.#ports.emit({ type: "read", laneId: source.id, offset: next, bytesMax, isSplit, ...range });
  }

  #mayFly(lane: Lane): boolean {
    const count = batchesInFlight(lane);
    if (count === 0) return true;
    if (lane.isFresh || lane.isIsolating || count >= UPLINK_IN_FLIGHT_PER_PARTITION_MAX) return false;
    return waitingBytes(lane) >= this.#batchSize.bytes * WORTH_SENDING_SHARE;
  }

  #sendGap(lane: Lane, gap: LossRow): void {
    if (this.#gapsInFlight >= UPLINK_GAPS_IN_FLIGHT_MAX) {
      this.#gapWaiters.add(lane);
      return;
    }
    const { topic, partition } = lane.source;
    const { epoch, from, to, records, reason, since, until } = gap;
    lane.gaps = lane.gaps.filter((each) => each !== gap);
    const item: SentItem = { kind: "gap", id: this.#nextId++, gap };
    this.#gapsInFlight++;
    this.#fly(lane, item);
    const what = { epoch, from, to, entry: entryOf(gap), records, reason, since, until };
    this.#ports.emit({ type: "send", frame: { t: "gap", id: item.id, topic, partition, ...what } });
    this.wake(lane);
  }

  /** What is on its way is confirmed or refused first. */
  onGaps(lane: Lane, gaps: readonly LossRow[]): void {
    const flying = new Set(lane.inFlight.flatMap((item) => (item.kind === "gap" ? [item.gap.id] : [])));
    lane.gaps = gapsOf(lane, gaps).filter(({ id }) => !flying.has(id));
    this.wake(lane);
  }

  onRead(lane: Lane, batch: MergedBatch | undefined): void {
    this.#readEnded(lane);
    if (lane.phase === "held") return this.#treat(lane);
    if (lane.phase !== "active") return;
    const { next, source } = lane;
    const found = batch?.baseOffset ?? lane.readEnd;
    if (found > next) {
      const reason: LossReason = source.logStartOffset > next ? "overflow" : "corrupt";
      return this.#remedy(lane, { type: "lose", range: { from: next, to: found - 1, reason } });
    }
    if (batch === undefined) return;
    invariant(batch.baseOffset === next, `read ${batch.baseOffset} where ${next} was asked for`);
    if (batch.batch.length > UPLINK_BATCH_BYTES_MAX) {
      return this.#refuse(lane, batch, "MESSAGE_TOO_LARGE", `${batch.batch.length} bytes`);
    }
    if (this.#unsent.length > 0 || !this.#window.canSend(batch.batch.length)) {
      lane.unsent = batch;
      this.#unsent.push(lane);
      return;
    }
    this.#produce(lane, batch);
  }

  #readEnded(lane: Lane): void {
    this.#window.readEnded();
    lane.isReading = false;
    if (isHistory(lane)) this.#historyBytes -= this.#options.batchBytesMax;
  }

  onReadFailed(lane: Lane): void {
    this.#readEnded(lane);
    if (lane.phase === "held") return this.#treat(lane);
    if (lane.phase === "active") this.#resendLater(lane, lane.next);
  }

  #produce(lane: Lane, { batch, baseOffset, lastOffset }: MergedBatch): void {
    const id = this.#nextId++;
    // The first of an epoch is always answered, see above.
    const acks = lane.isFresh && lane.acks === "none" ? "leader" : lane.acks;
    const bytes = batch.length;
    this.#window.sent(bytes);
    this.#socketBytes += bytes;
    if (isHistory(lane)) {
      this.#historyBytes += bytes;
      this.#share.historySent(bytes);
    } else this.#share.liveSent(bytes);
    this.#fly(lane, { kind: "batch", id, baseOffset, lastOffset, bytes, acks, isAcked: false });
    lane.next = lastOffset + 1;
    lane.memory = { ...lane.memory, sentEnd: Math.max(lane.memory.sentEnd, lane.next) };
    const baseSequence = (baseOffset - lane.firstOffset) % SEQUENCE_COUNT;
    const laneId = lane.source.id;
    this.#ports.emit({ type: "produce", produce: { laneId, id, acks, epoch: lane.epoch, baseSequence, batch } });
    this.wake(lane);
  }

  #fly(lane: Lane, item: SentItem): void {
    lane.inFlight.push(item);
    this.#inFlight.set(item.id, { lane, item });
  }

  #land(lane: Lane, item: SentItem): void {
    this.#inFlight.delete(item.id);
    if (item.kind === "gap") this.#landGap();
    else {
      this.#window.answered(item.bytes);
      if (isHistory(lane)) this.#historyBytes -= item.bytes;
      this.#batchSize.answered();
    }
    const index = lane.inFlight.indexOf(item);
    if (index >= 0) lane.inFlight.splice(index, 1);
  }

  #landGap(): void {
    this.#gapsInFlight--;
    for (const lane of this.#gapWaiters) this.wake(lane);
    this.#gapWaiters.clear();
  }

  /** A batch that asks for no answer is delivered once it has left the process. */
  onWritten(id: number, bytes: number): void {
    this.#socketBytes -= bytes;
    const flight = this.#inFlight.get(id);
    if (flight?.item.kind === "batch" && flight.item.acks === "none") this.#settle(flight.lane, flight.item);
  }

  onAck(id: number): void {
    const flight = this.#inFlight.get(id);
    if (flight === undefined) return this.#disconnect(`the hub acknowledged ${id}, which is not on its way`);
    const { lane, item } = flight;
    if (item.kind === "batch") return this.#settle(lane, item);
    this.#land(lane, item);
    this.#ports.emit({ type: "gap-settled", gapId: item.gap.id, records: item.gap.records });
    this.wake(lane);
    if (lane.phase === "held") this.#treat(lane);
  }

  #settle(lane: Lane, item: SentBatch): void {
    const { remedy } = lane;
    if (remedy !== undefined && item.baseOffset >= startOf(remedy)) {
      return this.#disconnect(`the hub took offset ${item.baseOffset} behind one that it refused`);
    }
    item.isAcked = true;
    let settled = lane.memory.settled;
    let bytes = 0;
    for (const first of lane.inFlight.filter(({ kind }) => kind === "batch")) {
      if (first.kind !== "batch" || !first.isAcked) break;
      this.#land(lane, first);
      settled = first.lastOffset + 1;
      bytes += first.bytes;
    }
    if (bytes === 0) return;
    lane.memory = { ...lane.memory, settled };
    lane.isFresh = false;
    lane.isIsolating = false;
    lane.failures = 0;
    // What a rewound hub gets again was counted before.
    const records = Math.max(0, settled - lane.countedEnd);
    lane.countedEnd = Math.max(lane.countedEnd, settled);
    const delivered = { records, acks: item.acks };
    this.#ports.emit({ type: "settled", laneId: lane.source.id, settled, delivered, trimEnd: trimEndOf(lane.family) });
    this.wake(lane);
    if (lane.phase === "held") this.#treat(lane);
  }

  onNack({ id, code, message }: Nack): void {
    const flight = this.#inFlight.get(id);
    if (flight === undefined) return this.#disconnect(`the hub refused ${id}: ${code}: ${message}`);
    const { lane, item } = flight;
    this.#land(lane, item);
    if (item.kind === "gap") {
      lane.gaps = [item.gap, ...lane.gaps];
      if (lane.phase === "active") return this.#resendLater(lane, lane.next, { code, message });
      return this.#treat(lane);
    }
    // What followed a refused batch is refused too, for its sequence; the remedy covers it. What comes before the
    // remedy's start was sent before it was decided on, and goes first.
    if (lane.remedy !== undefined && item.baseOffset >= startOf(lane.remedy)) return this.#treat(lane);
    if (RESYNC_CODES.has(code)) return this.#disconnect(`the hub is out of step: ${code}: ${message}`);
    if (POISON_CODES.has(code)) return this.#refuse(lane, item, code, message);
    // Perhaps it was deleted: the lane asks for it again before it goes on.
    if (code === "UNKNOWN_TOPIC_OR_PARTITION") {
      // Where the other lanes of the partition stand at the hub has to be heard with it.
      if (lane.family.lanes.length > 1) return this.#disconnect(`${code}: ${message}`);
      lane.isAtHub = false;
    }
    this.#resendLater(lane, item.baseOffset, { code, message });
  }

  /** These very bytes will never be taken. */
  #refuse(lane: Lane, at: { baseOffset: Offset; lastOffset: Offset }, code: string, message: string): void {
    const { baseOffset: from, lastOffset: to } = at;
    if (!lane.isIsolating) return this.#remedy(lane, { type: "isolate", from });
    const { topic, partition } = lane.source;
    const fields = { topic, partition, from, to, code, message };
    this.#note("error", "the hub will never take a stored batch; it is declared lost", fields);
    const reason = code === "MESSAGE_TOO_LARGE" ? "oversized" : "corrupt";
    this.#remedy(lane, { type: "lose", range: { from, to, reason } });
  }

  #resendLater(lane: Lane, from: Offset, refusal?: { code: string; message: string }): void {
    const { refusedMsMin, refusedMsMax } = this.#options;
    const delayMs = Math.min(refusedMsMax, refusedMsMin * 2 ** lane.failures);
    if (refusal !== undefined && lane.failures === 0) {
      const { topic, partition } = lane.source;
      const fields = { topic, partition, ...refusal, delayMs };
      this.#note("warn", "the hub refuses a batch for now; it is kept and sent again", fields);
    }
    lane.failures++;
    this.#remedy(lane, { type: "resend", from, delayMs });
  }

  #remedy(lane: Lane, remedy: Remedy): void {
    lane.phase = "held";
    lane.remedy = remedy;
    lane.unsent = undefined;
    this.#treat(lane);
  }

  #treat(lane: Lane): void {
    const { remedy } = lane;
    if (lane.phase !== "held" || remedy === undefined || !isQuiet(lane)) return;
    lane.remedy = undefined;
    lane.next = startOf(remedy);
    switch (remedy.type) {
      case "resend":
        lane.phase = "waiting";
        return this.#ports.emit({ type: "timer", laneId: lane.source.id, delayMs: remedy.delayMs });
      case "isolate":
        lane.isIsolating = true;
        lane.phase = "active";
        return this.wake(lane);
      case "lose":
        lane.isIsolating = false;
        return this.#ports.lose(lane, remedy.range);
      default:
        return unreachable(remedy);
    }
  }

  #disconnect(reason: string): void {
    this.#ports.emit({ type: "disconnect", error: new StreamError("PROTOCOL_VIOLATION", reason) });
  }

  #note(level: "warn" | "error", text: string, fields: Readonly<Record<string, unknown>>): void {
    this.#ports.emit({ type: "note", level, text, fields });
  }
}

function startOf(remedy: Remedy): Offset {
  return remedy.type === "lose" ? remedy.range.from : remedy.from;
}
