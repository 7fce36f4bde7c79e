/**
 * A consumer as the coordinator sees it: joins, assigns if it leads, syncs, heartbeats, commits, and reacts to errors as
 * Kafka's clients do. Processes come and go, and what a former process has asked may still be under way.
 */
import type { ErrorCode } from "../../../../shared/errors.ts";
import type { CommitRequest, Groups, JoinResult, SyncResult } from "../../../../hub/group/groups.ts";
import { joinRequest } from "./group-play.ts";

export const PARTITION_COUNT = 4;
export const HEARTBEAT_MS = 3_000;

/** What the consumers report, and what is checked of it: told when the answer comes, before the consumer looks at it. */
export interface Witness {
  nowMs(): number;
  /** The hub that runs now: another one after a crash. */
  groups(): Groups;
  onJoined(result: JoinResult): void;
  onAssigned(consumer: string, generation: number, partitions: readonly number[]): void;
  /** Only one process of an instance lives at a time here, so this is a fault of the coordinator. */
  onFenced(consumer: string): void;
  /** The commit was acknowledged. */
  onCommitted(partition: number, offset: number): void;
  /** Follows a request to its one answer. */
  ask<Result>(request: Promise<Result>): Promise<Result>;
}

type Phase =
  | { readonly name: "gone" }
  | { readonly name: "asking" }
  /** Not before `atMs`: clients back off when something failed. */
  | { readonly name: "joining"; readonly atMs: number }
  | { readonly name: "working"; readonly partitions: readonly number[]; readonly beatAtMs: number };

export type ConsumerTraits = {
  readonly name: string;
  readonly isStatic: boolean;
  /** JoinGroup v4 and later. */
  readonly isModern: boolean;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
};

const BACK_OFF_MS = 500;

export class SimulatedConsumer {
  readonly traits: ConsumerTraits;
  readonly #witness: Witness;
  #phase: Phase = { name: "gone" };
  #memberId = "";
  #generation = -1;
  /** Answers to an earlier process, or over an earlier connection, reach nobody. */
  #connection = 0;
  /** Answers that have come and that the process has not looked at yet: it may be paused, or die before. */
  #inbox: (() => void)[] = [];
  #subscription = 0;

  constructor(traits: ConsumerTraits, witness: Witness) {
    this.traits = traits;
    this.#witness = witness;
  }

  get phase(): Phase["name"] {
    return this.#phase.name;
  }

  get generation(): number {
    return this.#generation;
  }

  get partitions(): readonly number[] {
    return this.#phase.name === "working" ? this.#phase.partitions : [];
  }

  start(): void {
    this.#dropConnection();
    this.#memberId = "";
    this.#rejoin();
  }

  /** The process dies without a word. */
  kill(): void {
    this.#dropConnection();
    this.#phase = { name: "gone" };
  }

  /** The connection breaks: what was asked is never answered, and the process asks again over the next one. */
  disconnect(): void {
    this.#dropConnection();
    if (this.#phase.name === "asking") this.#rejoin();
  }

  /** Static members do not leave: they come back. */
  async leave(): Promise<void> {
    const memberId = this.#memberId;
    this.kill();
    if (memberId !== "" && !this.traits.isStatic) {
      await this.#witness.ask(this.#witness.groups().leave("g", [{ memberId, instanceId: null }]));
    }
  }

  changeSubscription(): void {
    this.#subscription += 1;
    if (this.#phase.name === "working") this.#rejoin();
  }

  /** Does what is due: call it often. A process that is paused is one for which this is not called. */
  tick(): void {
    const nowMs = this.#witness.nowMs();
    for (const look of this.#inbox.splice(0)) look();
    if (this.#phase.name === "joining" && this.#phase.atMs <= nowMs) this.#join();
    if (this.#phase.name !== "working" || this.#phase.beatAtMs > nowMs) return;
    this.#phase = { ...this.#phase, beatAtMs: nowMs + HEARTBEAT_MS };
    this.#onError(this.#witness.groups().heartbeat({ group: "g", ...this.#identity }));
  }

  /** Reads one record of each of its partitions and commits the positions after them. */
  commit(): void {
    if (this.#phase.name !== "working") return;
    const committed = this.#witness.groups().committed("g").get("readings");
    const offsets = this.#phase.partitions.map((partition) => ({
      topic: "readings",
      partition,
      offset: (committed?.get(partition)?.offset ?? 0) + 1,
      leaderEpoch: 0,
      metadata: null,
    }));
    const request: CommitRequest = { group: "g", ...this.#identity, knowsMemberEpochs: true, offsets };
    const commit = this.#witness
      .groups()
      .commit(request)
      .then((errors) => {
        for (const [index, { partition, offset }] of offsets.entries()) {
          if (errors[index] === null) this.#witness.onCommitted(partition, offset);
        }
        return errors.find((error) => error !== null) ?? null;
      });
    this.#ask(commit, (error) => {
      if (this.#phase.name === "working") this.#onError(error);
    });
  }

  get #identity() {
    return { memberId: this.#memberId, generation: this.#generation, instanceId: this.#instanceId };
  }

  get #instanceId(): string | null {
    return this.traits.isStatic ? this.traits.name : null;
  }

  #rejoin(backOffMs = 0): void {
    this.#phase = { name: "joining", atMs: this.#witness.nowMs() + backOffMs };
  }

  #join(): void {
    this.#phase = { name: "asking" };
    const request = joinRequest({
      memberId: this.#memberId,
      instanceId: this.#instanceId,
      clientId: this.traits.name,
      sessionTimeoutMs: this.traits.sessionTimeoutMs,
      rebalanceTimeoutMs: this.traits.rebalanceTimeoutMs,
      protocols: [{ name: "range", metadata: Buffer.from(`${this.traits.name} ${this.#subscription}`) }],
      requireKnownMemberId: this.traits.isModern,
      supportsSkippingAssignment: this.traits.isModern,
    });
    const join = this.#witness
      .groups()
      .join(request)
      .then((result) => {
        this.#witness.onJoined(result);
        return result;
      });
    this.#ask(join, (result) => this.#onJoined(result));
  }

  #onJoined(result: JoinResult): void {
    if (result.error === "MEMBER_ID_REQUIRED") {
      this.#memberId = result.memberId;
      return this.#rejoin();
    }
    if (result.error !== null) return this.#onError(result.error);
    this.#memberId = result.memberId;
    this.#generation = result.generation;
    const isAssigning = result.leader === result.memberId && !result.skipAssignment;
    const ids = isAssigning ? result.members.map(({ memberId }) => memberId) : [];
    const partitions = Array.from({ length: PARTITION_COUNT }, (_, partition) => partition);
    const assignments = ids.map((memberId, index) => ({
      memberId,
      assignment: Buffer.from(JSON.stringify(partitions.filter((partition) => partition % ids.length === index))),
    }));
    const request = { group: "g", ...this.#identity, protocolType: "consumer", protocolName: "range", assignments };
    const sync = this.#witness
      .groups()
      .sync(request)
      .then((synced) => {
        if (synced.error === null) this.#witness.onAssigned(this.traits.name, request.generation, partitionsIn(synced));
        return synced;
      });
    this.#ask(sync, (synced) => this.#onSynced(synced));
  }

  #onSynced(result: SyncResult): void {
    if (result.error !== null) return this.#onError(result.error);
    this.#phase = {
      name: "working",
      partitions: partitionsIn(result),
      beatAtMs: this.#witness.nowMs() + HEARTBEAT_MS,
    };
  }

  #onError(error: ErrorCode | null): void {
    if (error === null) return;
    if (error === "FENCED_INSTANCE_ID") return this.#witness.onFenced(this.traits.name);
    if (error === "UNKNOWN_MEMBER_ID") this.#memberId = "";
    const isCoordinatorGone = error === "COORDINATOR_NOT_AVAILABLE";
    if (isCoordinatorGone && this.#phase.name === "working") return;
    this.#rejoin(isCoordinatorGone ? BACK_OFF_MS : 0);
  }

  #ask<Result>(request: Promise<Result>, onAnswer: (result: Result) => void): void {
    const connection = this.#connection;
    void this.#witness.ask(request).then((result) => {
      if (connection === this.#connection) this.#inbox.push(() => onAnswer(result));
    });
  }

  #dropConnection(): void {
    this.#connection += 1;
    this.#inbox = [];
  }
}

function partitionsIn({ assignment }: SyncResult): readonly number[] {
  return assignment.byteLength === 0 ? [] : (JSON.parse(assignment.toString()) as number[]);
}
