/** Plays heartbeats against the pure coordinator and keeps what came out: answers, timers, what was persisted. */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { consumerTransition } from "../../../../../hub/group/consumer/consumer-coordinator.ts";
import { toSavedConsumerGroup, consumerSnapshotSchema } from "../../../../../hub/group/consumer/consumer-snapshot.ts";
import { encodeConsumerSnapshot } from "../../../../../hub/group/consumer/consumer-snapshot.ts";
import { stateName } from "../../../../../hub/group/consumer/consumer-describe.ts";
import {
  defaultConsumerGroupLimits,
  emptyConsumerGroup,
  restoreConsumerGroup,
} from "../../../../../hub/group/consumer/consumer-state.ts";
import type {
  ConsumerAnswer,
  ConsumerGroupEvent,
  ConsumerGroupLimits,
  ConsumerGroupState,
  ConsumerTimer,
  ConsumerTransition,
  SavedConsumerGroup,
  TopicCatalog,
} from "../../../../../hub/group/consumer/consumer-state.ts";
import { fromLists, noPartitions, toLists } from "../../../../../hub/group/consumer/partitions.ts";
import type { PartitionSet } from "../../../../../hub/group/consumer/partitions.ts";
import type { ConsumerHeartbeatRequest, ConsumerHeartbeatResult } from "../../../../../hub/group/groups.ts";

export const limits: ConsumerGroupLimits = {
  ...defaultConsumerGroupLimits,
  membersMax: 200,
  memberBytesMax: 64 * 1024,
  rebalanceTimeoutMaxMs: 600_000,
};

/** Readable ids: the id of topic "t" is "id-t". */
export function catalogOf(topics: Readonly<Record<string, number>>): TopicCatalog {
  return new Map(Object.entries(topics).map(([name, partitionCount]) => [name, { id: `id-${name}`, partitionCount }]));
}

/** A regular heartbeat, which says nothing anew. */
export function heartbeatRequest(fields: Partial<ConsumerHeartbeatRequest> = {}): ConsumerHeartbeatRequest {
  return {
    group: "g",
    memberId: "m",
    epoch: 1,
    instanceId: null,
    rackId: null,
    clientId: "client",
    clientHost: "/127.0.0.1",
    rebalanceTimeoutMs: -1,
    subscribedNames: null,
    subscribedRegex: null,
    assignor: null,
    owned: null,
    mayDescribe: () => true,
    ...fields,
  };
}

/** A member's first request. */
export function joinRequest(
  memberId: string,
  fields: Partial<ConsumerHeartbeatRequest> = {},
): ConsumerHeartbeatRequest {
  const first = { memberId, epoch: 0, rebalanceTimeoutMs: 60_000, subscribedNames: ["t"], owned: noPartitions };
  return heartbeatRequest({ ...first, ...fields });
}

/** "t 0 1, u 2": of topics with the ids of `catalogOf`. */
export function show(set: Parameters<typeof toLists>[0]): string {
  const lists = toLists(set).toSorted((left, right) => (left.topicId < right.topicId ? -1 : 1));
  return lists.map(({ topicId, partitions }) => `${topicId.slice(3)} ${partitions.join(" ")}`).join(", ");
}

/** The other way round. */
export function partitionSet(text: string): PartitionSet {
  const topics = text === "" ? [] : text.split(", ").map((topic) => topic.split(" "));
  return fromLists(topics.map(([name = "", ...list]) => ({ topicId: `id-${name}`, partitions: list.map(Number) })));
}

export class ConsumerPlay {
  state: ConsumerGroupState = emptyConsumerGroup(0);
  catalog: TopicCatalog;
  readonly limits: ConsumerGroupLimits;
  /** Running timers and the delay each was last started with. */
  readonly timers = new Map<string, number>();
  readonly persisted: (SavedConsumerGroup | null)[] = [];
  /** Off in long histories: it takes most of the time. */
  checksPurity = true;
  #answers: ConsumerAnswer[] = [];

  constructor(topics: Readonly<Record<string, number>> = { t: 4 }, given: Partial<ConsumerGroupLimits> = {}) {
    this.catalog = catalogOf(topics);
    this.limits = { ...limits, ...given };
  }

  heartbeat(fields: Partial<ConsumerHeartbeatRequest>): ConsumerHeartbeatResult {
    return this.play("answer-heartbeat", {
      type: "consumer-heartbeat",
      to: 1,
      request: heartbeatRequest(fields),
      newMemberId: "new",
    });
  }

  join(memberId: string, fields: Partial<ConsumerHeartbeatRequest> = {}): ConsumerHeartbeatResult {
    return this.heartbeat(joinRequest(memberId, fields));
  }

  /** A heartbeat of a member that has taken all it was told: its own epoch, and what it is assigned. */
  beat(memberId: string, fields: Partial<ConsumerHeartbeatRequest> = {}): ConsumerHeartbeatResult {
    const member = this.member(memberId);
    const owned = fromLists(toLists(member.assigned));
    return this.heartbeat({ memberId, epoch: member.epoch, instanceId: member.instanceId, owned, ...fields });
  }

  /** Heartbeats of all, again and again, until nothing changes. */
  settle(): void {
    for (let round = 0; round < 10; round++) {
      const before = this.persisted.length;
      for (const memberId of this.state.members.keys()) this.beat(memberId);
      if (this.persisted.length === before) return;
    }
    assert.fail("the group does not come to rest");
  }

  leave(memberId: string, fields: Partial<ConsumerHeartbeatRequest> = {}): ConsumerHeartbeatResult {
    return this.heartbeat({ memberId, epoch: -1, ...fields });
  }

  delete() {
    return this.play("answer-delete", { type: "delete", to: 1 });
  }

  remove(...instanceIds: string[]) {
    return this.play("answer-removal", { type: "consumer-removal", to: 1, instanceIds });
  }

  expire(kind: ConsumerTimer["kind"], memberId: string): void {
    assert.ok(this.timers.delete(`${kind} ${memberId}`), `timer ${kind} of ${memberId} runs`);
    this.#play({ type: "timer-expired", timer: { kind, memberId } });
  }

  /** The hub dies; what was persisted last comes back through its bytes. */
  restart(): void {
    const last = this.persisted.at(-1);
    assert.ok(last);
    this.timers.clear();
    const bytes = Buffer.from(encodeConsumerSnapshot(last)).toString();
    const saved = toSavedConsumerGroup(consumerSnapshotSchema.parse(JSON.parse(bytes)));
    this.#take(restoreConsumerGroup(saved, this.limits));
  }

  member(memberId: string) {
    const member = this.state.members.get(memberId);
    assert.ok(member, `${memberId} is a member`);
    return member;
  }

  /** "stable 2: t 0 1", with " - t 2" for what it still has to give up. */
  look(memberId: string): string {
    const { phase, epoch, assigned, revoking } = this.member(memberId);
    return `${phase} ${epoch}: ${show(assigned)}${revoking.size === 0 ? "" : ` - ${show(revoking)}`}`;
  }

  get phase(): string {
    return stateName(this.state);
  }

  play<Type extends ConsumerAnswer["type"]>(type: Type, event: ConsumerGroupEvent) {
    this.#play(event);
    const [answer, ...others] = this.#answers;
    assert.ok(answer?.type === type && others.length === 0, "a request is answered once");
    return answer.result as Extract<ConsumerAnswer, { type: Type }>["result"];
  }

  #play(event: ConsumerGroupEvent): void {
    const { catalog } = this;
    const before = this.checksPurity ? inspect(this.state, { depth: null }) : "";
    const matching = (regex: string) => [...catalog.keys()].filter((name) => new RegExp(`^(?:${regex})$`).test(name));
    const next = consumerTransition(this.state, event, { limits: this.limits, world: { catalog, matching } });
    const after = this.checksPurity ? inspect(this.state, { depth: null }) : "";
    assert.equal(after, before, "the state that goes in is not changed");
    this.#take(next);
  }

  #take({ state, effects }: ConsumerTransition): void {
    this.state = state;
    this.#answers = [];
    for (const effect of effects) {
      if (effect.type === "persist") this.persisted.push(effect.group);
      else if (effect.type === "start-timer") this.timers.set(keyOf(effect.timer), effect.delayMs);
      else if (effect.type === "cancel-timer") this.timers.delete(keyOf(effect.timer));
      else this.#answers.push(effect);
    }
  }
}

function keyOf({ kind, memberId }: ConsumerTimer): string {
  return `${kind} ${memberId}`;
}
