/**
 * Who waits behind each request id: the promises of parked and running requests. Each is answered exactly once. Bounded
 * by the members (one parked join and one parked sync each) and by the queues of the groups.
 */
import type { ErrorCode } from "../../shared/errors.ts";
import { invariant } from "../../shared/invariant.ts";
import type { ConsumerAnswer } from "./consumer/consumer-state.ts";
import { failedHeartbeat, refusal } from "./consumer/members.ts";
import type { AnswerEffect, RequestId } from "./group-state.ts";
import type { ConsumerHeartbeatResult, JoinResult, LeaveResult, SyncResult } from "./groups.ts";
import { failedJoin, failedSync } from "./parked-requests.ts";

type AnyAnswer = AnswerEffect | ConsumerAnswer;
type Waiting = { readonly answer: (effect: AnyAnswer) => void; readonly refuse: (error: ErrorCode) => void };
type Opened<Result> = { readonly id: RequestId; readonly result: Promise<Result> };

export class WaitingRequests {
  readonly #waiting = new Map<RequestId, Waiting>();
  #lastId: RequestId = 0;

  get count(): number {
    return this.#waiting.size;
  }

  openJoin(memberId: string): Opened<JoinResult> {
    return this.#open("answer-join", (error) => failedJoin(error, memberId));
  }

  openSync(): Opened<SyncResult> {
    return this.#open("answer-sync", failedSync);
  }

  openLeave(): Opened<LeaveResult> {
    return this.#open("answer-leave", (error) => ({ error, members: [] }));
  }

  openDelete(): Opened<ErrorCode | null> {
    return this.#open("answer-delete", (error) => error);
  }

  openHeartbeat(): Opened<ConsumerHeartbeatResult> {
    return this.#open("answer-heartbeat", (error) => failedHeartbeat(refusal(error, "the coordinator is not ready")));
  }

  openRemoval(count: number): Opened<readonly (ErrorCode | null)[]> {
    return this.#open("answer-removal", (error) => Array.from({ length: count }, () => error));
  }

  answer(effect: AnyAnswer): void {
    this.#take(effect.to).answer(effect);
  }

  refuse(id: RequestId, error: ErrorCode): void {
    this.#take(id).refuse(error);
  }

  refuseAll(error: ErrorCode): void {
    for (const id of this.#waiting.keys()) this.refuse(id, error);
  }

  #open<Type extends AnyAnswer["type"], Result extends Extract<AnyAnswer, { type: Type }>["result"]>(
    type: Type,
    refused: (error: ErrorCode) => Result,
  ): Opened<Result> {
    const { promise, resolve } = Promise.withResolvers<Result>();
    const id = ++this.#lastId;
    this.#waiting.set(id, {
      answer(effect) {
        invariant(effect.type === type, `request ${id} waits for ${type}, not ${effect.type}`);
        // The invariant ties the effect's type to the result's, which the compiler cannot follow through the map.
        resolve(effect.result as Result);
      },
      refuse: (error) => resolve(refused(error)),
    });
    return { id, result: promise };
  }

  #take(id: RequestId): Waiting {
    const waiting = this.#waiting.get(id);
    invariant(waiting !== undefined, `request ${id} is answered once`);
    this.#waiting.delete(id);
    return waiting;
  }
}
