import type { TestContext } from "node:test";
import { silentLogger } from "../../../../shared/logger.ts";
import { GroupCoordinator, type GroupCoordinatorOptions } from "../../../../hub/group/coordinator-runner.ts";
import type { CommitRequest, JoinRequest, SyncRequest } from "../../../../hub/group/groups.ts";
import { onCleanUp } from "../../../support/clean-up.ts";
import { VirtualTimers } from "../../../support/virtual-timers.ts";
import { FakeGroupEngine, type GroupDisk } from "./group-engine.ts";
import { joinRequest } from "./group-play.ts";

/** The coordinator over a fake engine and virtual time. */
export class Hub {
  readonly time = new VirtualTimers();
  readonly engine: FakeGroupEngine;
  groups!: GroupCoordinator;

  static async open(t: TestContext, given: { disk?: GroupDisk; options?: Partial<GroupCoordinatorOptions> } = {}) {
    const hub = new Hub(new FakeGroupEngine(given.disk));
    const { engine, time } = hub;
    let lastId = 0;
    const newId = () => String(++lastId);
    const parts = { engine, clock: time, timers: time, logger: silentLogger(), options: given.options ?? {}, newId };
    hub.groups = await GroupCoordinator.open(parts);
    onCleanUp(t, () => (engine.isCrashed ? undefined : hub.groups.close()));
    return hub;
  }

  private constructor(engine: FakeGroupEngine) {
    this.engine = engine;
  }

  /** The machine loses power; another hub starts over its disk. */
  async restart(t: TestContext, options: Partial<GroupCoordinatorOptions> = {}): Promise<Hub> {
    this.engine.crash();
    return Hub.open(t, { disk: this.engine.disk, options });
  }

  join(fields: Partial<JoinRequest> = {}) {
    return this.groups.join(joinRequest(fields));
  }

  sync(memberId: string, generation: number, assign: Record<string, string> = {}) {
    return this.groups.sync(syncRequest(memberId, generation, assign));
  }

  heartbeat(memberId: string, generation: number) {
    return this.groups.heartbeat({ group: "g", memberId, generation, instanceId: null });
  }

  commit(memberId: string, generation: number, offset: number) {
    return this.groups.commit(commitRequest({ memberId, generation }, offset));
  }

  get committed(): number | undefined {
    return this.groups.committed("g").get("readings")?.get(0)?.offset;
  }

  get state(): string {
    return this.groups.describe("g").state;
  }

  get memberIds(): readonly string[] {
    return this.groups.describe("g").members.map(({ memberId }) => memberId);
  }

  /** Members "a-1", "b-2", … in generation 1, each with its assignment. */
  async stable(...clientIds: string[]): Promise<readonly string[]> {
    const joins = clientIds.map((clientId) => this.join({ clientId }));
    await this.time.advance(1_000);
    const ids = (await Promise.all(joins)).map(({ memberId }) => memberId);
    const assign = Object.fromEntries(ids.map((id) => [id, `for ${id}`]));
    await Promise.all(ids.map((id) => this.sync(id, 1, assign)));
    return ids;
  }
}

export function syncRequest(memberId: string, generation: number, assign: Record<string, string>): SyncRequest {
  const assignments = Object.entries(assign).map(([id, text]) => ({ memberId: id, assignment: Buffer.from(text) }));
  return { group: "g", generation, memberId, instanceId: null, protocolType: null, protocolName: null, assignments };
}

export function commitRequest(fields: Partial<CommitRequest>, offset: number): CommitRequest {
  const offsets = [{ topic: "readings", partition: 0, offset, leaderEpoch: -1, metadata: null }];
  return { group: "g", generation: -1, memberId: "", instanceId: null, knowsMemberEpochs: true, offsets, ...fields };
}

/** What a promise has come to so far. */
export function watch<Value>(promise: Promise<Value>): { value?: Value } {
  const watched: { value?: Value } = {};
  void promise.then((value) => (watched.value = value));
  return watched;
}
