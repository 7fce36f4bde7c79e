/**
 * Records for a member of a consumer group over a WebSocket.
 *
 *   assigned ─▶ records, at most `window` of them not acknowledged ─▶ ack ─▶ committed ─▶ acked
 *
 * Before a partition is let go of, what was given of it may still be acknowledged for a moment; what is not goes to whoever
 * gets the partition. So every record is seen at least once, and again only if it was not acknowledged.
 */
import { StreamError } from "../../../shared/errors.ts";
import type { Offset } from "../../../shared/ids.ts";
import type { Asking } from "../../access/authorize.ts";
import { mayTopic } from "../../access/authorize.ts";
import type { TopicPartition } from "../../engine/engine.ts";
import type { Timers } from "../../group/deadline-timers.ts";
import { writeRecord } from "../api/record-json.ts";
import type { ApiServices } from "../api/services.ts";
import { GroupMember } from "./group-member.ts";
import type { LiveConnection } from "./live-connection.ts";
import { windowOf } from "./live-messages.ts";
import type { Ack, GroupSubscription } from "./live-messages.ts";
import type { LiveEvent, LiveReader, Place } from "./live-reader.ts";
import { Unacked } from "./unacked.ts";

/** For acknowledgements of a partition that is about to be let go of. */
const REVOKE_MS = 5000;
/** A commit that meets a rebalance is tried again. */
const COMMIT_RETRY_MS = 200;
const COMMIT_TRIES_MAX = 25;

export type GroupSessionParts = {
  readonly services: ApiServices;
  readonly asking: Asking;
  readonly connection: LiveConnection;
  readonly reader: LiveReader;
  readonly timers: Timers;
  readonly address: string;
};

type Pending = { readonly at: TopicPartition; readonly offset: Offset };

export class GroupSession {
  readonly #parts: GroupSessionParts;
  readonly #subscription: GroupSubscription;
  readonly #member: GroupMember;
  readonly #unacked = new Unacked();
  /** To be committed, by partition: only the last counts. */
  #pending = new Map<string, Pending>();
  #committing: Promise<void> | undefined;
  /** Called when something was acknowledged. */
  readonly #waiters = new Set<() => void>();

  constructor(parts: GroupSessionParts, subscription: GroupSubscription) {
    this.#parts = parts;
    this.#subscription = subscription;
    const { services, asking, connection } = parts;
    const { group, topics, from = "latest", clientId = "websocket" } = subscription;
    this.#member = new GroupMember({
      ...{ engine: services.engine, groups: services.groups, timers: parts.timers, group, topics, from, clientId },
      clientHost: `/${parts.address}`,
      mayDescribe: (topic) => mayTopic(asking, "describe", topic),
      onAssigned: (places) => this.#assigned(places),
      onRevoked: (at) => this.#revoked(at),
      onFailed: (error) => connection.fail(error),
    });
  }

  /** Resolves when the connection is over and the member has left. */
  async run(): Promise<void> {
    const { connection, reader } = this.#parts;
    connection.closed.addEventListener("abort", () => this.#wake(), { once: true });
    try {
      await this.#member.join();
      await connection.send({ type: "subscribed", memberId: this.#member.memberId });
      for await (const event of reader.events()) {
        await this.#tell(event);
        await this.#until(() => this.#unacked.count < windowOf(this.#subscription));
      }
    } finally {
      await this.#committing;
      await this.#member.leave();
    }
  }

  ack({ topic, partition, offset }: Ack): void {
    const at = { topic, partition };
    const { connection } = this.#parts;
    switch (this.#unacked.ack(at, offset)) {
      case "taken":
        this.#pending.set(`${topic}/${partition}`, { at, offset: offset + 1 });
        this.#committing ??= this.#commit().finally(() => (this.#committing = undefined));
        return this.#wake();
      case "old":
        return;
      case "unknown":
        return void connection.send({ type: "unacked", topic, partition, offset });
      case "ahead":
        return connection.fail(new StreamError("INVALID_REQUEST", `${topic}/${partition}: ${offset} was not sent yet`));
    }
  }

  #assigned(places: readonly Place[]): void {
    for (const place of places) this.#unacked.begin(place);
    this.#parts.reader.add(places);
    void this.#parts.connection.send({ type: "assigned", partitions: places });
  }

  async #revoked(at: readonly TopicPartition[]): Promise<void> {
    const { reader, connection, timers } = this.#parts;
    reader.remove(at);
    void connection.send({ type: "revoked", partitions: at });
    let isOver = false;
    const timer = timers.start(REVOKE_MS, () => {
      isOver = true;
      this.#wake();
    });
    await this.#until(() => isOver || at.every((each) => this.#unacked.countOf(each) === 0));
    timer.cancel();
    await this.#committing;
    for (const each of at) this.#unacked.end(each);
    this.#wake();
  }

  async #commit(): Promise<void> {
    const { connection, timers } = this.#parts;
    for (let tries = 0; this.#pending.size > 0;) {
      const pending = this.#pending;
      this.#pending = new Map();
      try {
        await this.#member.commit([...pending.values()]);
        tries = 0;
        for (const { at, offset } of pending.values())
          void connection.send({ type: "acked", ...at, offset: offset - 1 });
      } catch (error) {
        const isPassing = error instanceof StreamError && (error.code === "STALE_MEMBER_EPOCH" || error.retriable);
        if (!isPassing || ++tries > COMMIT_TRIES_MAX) return connection.fail(error);
        this.#pending = new Map([...pending, ...this.#pending]);
        await new Promise<void>((resolve) => timers.start(COMMIT_RETRY_MS, resolve));
      }
    }
  }

  async #tell(event: LiveEvent): Promise<void> {
    const { connection } = this.#parts;
    if (event.type === "idle") return;
    if (event.type === "gap") return connection.send({ type: "gap", ...event.at, from: event.from, to: event.to });
    for (const range of event.unreadable) await connection.send({ type: "unreadable", ...range });
    this.#unacked.give(
      event.at,
      event.records.map(({ offset }) => offset),
    );
    const { format = "auto" } = this.#subscription;
    const records = event.records.map((record) => writeRecord({ ...record, ...event.at }, format)).join(",");
    await connection.send(`{"type":"records","records":[${records}]}`);
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo() && !this.#parts.connection.closed.aborted) {
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  #wake(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const wake of waiters) wake();
  }
}
