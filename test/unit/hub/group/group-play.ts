/** Plays events against the pure coordinator and keeps what came out: answers, timers, what was persisted. */
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { transition } from "../../../../hub/group/coordinator.ts";
import { defaultGroupLimits, emptyGroup, restoreGroup } from "../../../../hub/group/group-state.ts";
import type {
  AnswerEffect,
  GroupEvent,
  GroupLimits,
  GroupState,
  GroupTimer,
  RequestId,
  SavedGroup,
  Transition,
} from "../../../../hub/group/group-state.ts";
import type {
  GroupProtocol,
  JoinRequest,
  JoinResult,
  LeaveResult,
  MemberIdentity,
  SyncRequest,
  SyncResult,
} from "../../../../hub/group/groups.ts";

export type JoinFields = Partial<JoinRequest> & { readonly newMemberId?: string };

export function protocols(...names: string[]): readonly GroupProtocol[] {
  return names.map((name) => {
    const [protocol = "", metadata = "topics"] = name.split("=");
    return { name: protocol, metadata: Buffer.from(metadata) };
  });
}

/** An old client's join by default: without the extra round for an id, which most rows are not about. */
export function joinRequest(fields: Partial<JoinRequest> = {}): JoinRequest {
  return {
    group: "g",
    memberId: "",
    instanceId: null,
    clientId: "client",
    clientHost: "/127.0.0.1",
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 60_000,
    protocolType: "consumer",
    protocols: protocols("range"),
    requireKnownMemberId: false,
    supportsSkippingAssignment: false,
    ...fields,
  };
}

export function who(memberId: string, instanceId: string | null = null): MemberIdentity {
  return { memberId, instanceId };
}

export class GroupPlay {
  state: GroupState;
  readonly limits: GroupLimits;
  readonly answers = new Map<RequestId, AnswerEffect["result"]>();
  /** Running timers and the delay each was last started with. */
  readonly timers = new Map<string, number>();
  readonly persisted: (SavedGroup | null)[] = [];
  #lastId = 0;

  constructor(limits: Partial<GroupLimits> = {}, saved?: SavedGroup) {
    this.limits = { ...defaultGroupLimits, ...limits };
    this.state = emptyGroup;
    if (saved !== undefined) this.#take(restoreGroup(saved));
  }

  /** A member with id `name`, added in one step. @returns the request, to look its answer up. */
  join(name: string, fields: JoinFields = {}): RequestId {
    const { newMemberId = name, ...request } = fields;
    const to = ++this.#lastId;
    this.#play({ type: "join", to, request: joinRequest(request), newMemberId });
    return to;
  }

  /** A member joins again under its id. */
  rejoin(memberId: string, fields: JoinFields = {}): RequestId {
    return this.join("unused", { memberId, ...fields });
  }

  sync(memberId: string, fields: Partial<SyncRequest> & { readonly assign?: Record<string, string> } = {}): RequestId {
    const to = ++this.#lastId;
    const { assign = {}, ...given } = fields;
    const assignments = Object.entries(assign).map(([id, text]) => ({ memberId: id, assignment: Buffer.from(text) }));
    const { generation } = this.state;
    const base = { group: "g", generation, memberId, instanceId: null, protocolType: null, protocolName: null };
    this.#play({ type: "sync", to, request: { ...base, assignments, ...given } });
    return to;
  }

  leave(...members: MemberIdentity[]): LeaveResult {
    const to = ++this.#lastId;
    this.#play({ type: "leave", to, members });
    return this.#answer(to) as LeaveResult;
  }

  delete(): AnswerEffect["result"] {
    const to = ++this.#lastId;
    this.#play({ type: "delete", to });
    return this.#answer(to);
  }

  /** A running timer fires. */
  expire(timer: "join" | "sync" | { readonly session: string }): void {
    const event: GroupTimer =
      typeof timer === "string" ? { kind: timer } : { kind: "session", memberId: timer.session };
    assert.ok(this.timers.delete(keyOf(event)), `timer ${keyOf(event)} runs`);
    this.#play({ type: "timer-expired", timer: event });
  }

  joined(to: RequestId): JoinResult {
    return this.#answer(to) as JoinResult;
  }

  synced(to: RequestId): SyncResult {
    return this.#answer(to) as SyncResult;
  }

  /** "ok", an error code, or "parked". */
  outcome(to: RequestId): string {
    const answer = this.answers.get(to);
    if (answer === undefined) return "parked";
    return answer === null ? "ok" : typeof answer === "string" ? answer : (answer.error ?? "ok");
  }

  sessionMs(memberId: string): number | undefined {
    return this.timers.get(`session ${memberId}`);
  }

  get memberIds(): readonly string[] {
    return [...this.state.members.keys()];
  }

  #answer(to: RequestId): AnswerEffect["result"] {
    const answer = this.answers.get(to);
    assert.notEqual(answer, undefined, "the request is answered");
    return answer ?? null;
  }

  #play(event: GroupEvent): void {
    const before = inspect(this.state, { depth: null });
    const next = transition(this.state, event, this.limits);
    assert.equal(inspect(this.state, { depth: null }), before, "the state that goes in is not changed");
    this.#take(next);
  }

  #take({ state, effects }: Transition): void {
    this.state = state;
    for (const effect of effects) {
      if (effect.type === "start-timer") this.timers.set(keyOf(effect.timer), effect.delayMs);
      else if (effect.type === "cancel-timer") this.timers.delete(keyOf(effect.timer));
      else if (effect.type === "persist") this.persisted.push(effect.group);
      else {
        assert.ok(!this.answers.has(effect.to), "a request is answered once");
        this.answers.set(effect.to, effect.result);
      }
    }
  }
}

function keyOf(timer: GroupTimer): string {
  return timer.kind === "session" ? `session ${timer.memberId}` : timer.kind;
}

export type PlayOptions = {
  readonly limits?: Partial<GroupLimits>;
  /** By member id, for all fields that differ from joinRequest's. */
  readonly fields?: Readonly<Record<string, JoinFields>>;
};

/** Members "a", "b", … after their first joint rebalance: "a" leads, nobody has synced. */
export function completingGroup(names: readonly string[], options: PlayOptions = {}): GroupPlay {
  const play = new GroupPlay(options.limits);
  for (const name of names) play.join(name, options.fields?.[name]);
  play.expire("join");
  while (play.state.phase === "PreparingRebalance") play.expire("join");
  return play;
}

/** As completingGroup, and everybody has synced: "a" owns "for a", and so on. */
export function stableGroup(names: readonly string[], options: PlayOptions = {}): GroupPlay {
  const play = completingGroup(names, options);
  const [leader = "", ...followers] = names;
  play.sync(leader, { assign: Object.fromEntries(names.map((name) => [name, `for ${name}`])) });
  for (const name of followers) play.sync(name);
  return play;
}

/** As stableGroup, and the leader has asked for a rebalance; all others have yet to join. */
export function preparingGroup(names: readonly string[], options: PlayOptions = {}): GroupPlay {
  const play = stableGroup(names, options);
  const [leader = ""] = names;
  const { newMemberId: _newMemberId, ...fields } = options.fields?.[leader] ?? {};
  play.rejoin(leader, fields);
  return play;
}
