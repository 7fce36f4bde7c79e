/** A client of the newer protocol that loses messages, stands still, dies and comes back. */
import assert from "node:assert/strict";
import type { ConsumerHeartbeatRequest, ConsumerHeartbeatResult } from "../../../../../hub/group/groups.ts";
import {
  contains,
  fromLists,
  isSamePartitions,
  noPartitions,
  type PartitionSet,
} from "../../../../../hub/group/consumer/partitions.ts";
import type { ConsumerPlay } from "./consumer-play.ts";
import type { Random } from "./whole-random.ts";

export class SimulatedClient {
  readonly instanceId: string | null;
  memberId = "";
  isRunning = false;
  isPaused = false;
  /** What its application reads from. */
  reading: PartitionSet = noPartitions;
  #epoch = 0;
  #toldEpoch = 0;
  #target: PartitionSet = noPartitions;
  #reported: PartitionSet = noPartitions;
  /** After a failure everything is said again. */
  #saysAll = true;
  #subscription: Pick<ConsumerHeartbeatRequest, "subscribedNames" | "subscribedRegex">;
  readonly #name: string;
  readonly #random: Random;
  #processCount = 0;

  constructor(name: string, isStatic: boolean, random: Random) {
    this.#name = name;
    this.instanceId = isStatic ? name : null;
    this.#random = random;
    this.#subscription = this.#someTopics();
  }

  start(): void {
    if (this.isRunning) return;
    this.isRunning = true;
    this.isPaused = false;
    this.memberId = `${this.#name}-${++this.#processCount}`;
    this.#toldEpoch = 0;
    this.#joinAgain();
  }

  kill(): void {
    this.isRunning = false;
    this.reading = noPartitions;
  }

  leave(play: ConsumerPlay): void {
    if (!this.isRunning) return;
    const epoch = this.instanceId !== null && this.#random(2) === 0 ? -2 : -1;
    this.kill();
    if (this.#epoch > 0) play.heartbeat({ memberId: this.memberId, epoch, instanceId: this.instanceId });
  }

  resubscribe(): void {
    this.#subscription = this.#someTopics();
    this.#saysAll = true;
  }

  /** @param isLost neither fully delivered nor fully answered. */
  tick(play: ConsumerPlay, isLost: boolean): void {
    if (!this.isRunning || this.isPaused) return;
    this.#revoke();
    if (isLost && this.#random(2) === 0) return void (this.#saysAll = true);
    const request = this.#request();
    const result = play.heartbeat(request);
    if (isLost) this.#saysAll = true;
    else this.#hear(result, request);
  }

  #request(): Partial<ConsumerHeartbeatRequest> {
    const { memberId, instanceId } = this;
    const who = { memberId, instanceId, epoch: this.#epoch };
    const owned = this.#saysAll || !isSamePartitions(this.#reported, this.reading) ? this.reading : null;
    return this.#saysAll ? { ...who, owned, ...this.#subscription, rebalanceTimeoutMs: 60_000 } : { ...who, owned };
  }

  #hear(result: ConsumerHeartbeatResult, { owned = null }: Partial<ConsumerHeartbeatRequest>): void {
    const { error } = result;
    if (error === "FENCED_MEMBER_EPOCH" || error === "UNKNOWN_MEMBER_ID") return this.#joinAgain();
    // Its former process is not known to be dead yet, or another one has taken its place.
    if (error === "UNRELEASED_INSTANCE_ID") return;
    if (error === "FENCED_INSTANCE_ID") return this.kill();
    assert.equal(error, null);
    assert.ok(result.epoch >= this.#toldEpoch, `epoch ${result.epoch} after ${this.#toldEpoch}`);
    this.#epoch = result.epoch;
    this.#toldEpoch = result.epoch;
    this.#saysAll = false;
    if (owned !== null) this.#reported = owned;
    if (result.assignment !== null) this.#target = fromLists(result.assignment);
    // What is new is read at once, when nothing has to be given up first.
    if (!this.#hasToRevoke()) this.reading = this.#target;
  }

  /** The application takes its time to stop reading. */
  #revoke(): void {
    if (!this.#hasToRevoke() || this.#random(2) === 0) return;
    const kept = [...this.reading].map(([topicId, partitions]) => ({
      topicId,
      partitions: [...partitions].filter((partition) => contains(this.#target, topicId, partition)),
    }));
    this.reading = fromLists(kept);
  }

  #hasToRevoke(): boolean {
    for (const [topicId, partitions] of this.reading) {
      for (const partition of partitions) if (!contains(this.#target, topicId, partition)) return true;
    }
    return false;
  }

  #joinAgain(): void {
    this.#epoch = 0;
    this.reading = noPartitions;
    this.#reported = noPartitions;
    this.#target = noPartitions;
    this.#saysAll = true;
  }

  #someTopics(): Pick<ConsumerHeartbeatRequest, "subscribedNames" | "subscribedRegex"> {
    switch (this.#random(4)) {
      case 0:
        return { subscribedNames: ["t"], subscribedRegex: "" };
      case 1:
        return { subscribedNames: [], subscribedRegex: "[tu]" };
      default:
        return { subscribedNames: ["t", "u"], subscribedRegex: "" };
    }
  }
}
