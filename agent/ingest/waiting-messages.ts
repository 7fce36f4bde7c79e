/**
 * What is held back in memory, and its bounds: messages until their topic is made (kept here), and what a full log holds
 * back of `block` topics (kept in the topic's own open commit, only counted here).
 */
import type { PublishMessage } from "../mqtt/publish-sink.ts";
import type { IngestLimits } from "./ingest-limits.ts";
import type { Done } from "./open-commit.ts";
import type { TopicLanes } from "./topic-lanes.ts";

export type WaitingMessage = { readonly message: PublishMessage; readonly done: Done };

export class WaitingMessages {
  readonly #limits: IngestLimits;
  readonly #ofTopic = new Map<TopicLanes, WaitingMessage[]>();
  #bytes = 0;
  #count = 0;

  constructor(limits: IngestLimits) {
    this.#limits = limits;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#count;
  }

  get topics(): readonly TopicLanes[] {
    return [...this.#ofTopic.keys()];
  }

  isFull(bytesMore: number): boolean {
    const { waitingBytesMax, waitingMessagesMax } = this.#limits;
    return this.#count >= waitingMessagesMax || this.#bytes + bytesMore > waitingBytesMax;
  }

  /** Counts what waits elsewhere; negative when it waits no more. */
  account(bytes: number, messages: number): void {
    this.#bytes += bytes;
    this.#count += messages;
  }

  /** At QoS 0, `done` is called now. */
  add(topic: TopicLanes, message: PublishMessage, done: Done): void {
    // The payload lies in the MQTT parser's memory, which is used again.
    const kept = { ...message, payload: Buffer.from(message.payload) };
    const waiting = { message: kept, done: message.qos === 0 ? ignoreAnswer : done };
    const list = this.#ofTopic.get(topic);
    if (list === undefined) this.#ofTopic.set(topic, [waiting]);
    else list.push(waiting);
    this.account(kept.payload.length, 1);
    if (message.qos === 0) done();
  }

  /** Everything that waits for the topic, in order; it waits no more. */
  take(topic: TopicLanes): readonly WaitingMessage[] {
    const list = this.#ofTopic.get(topic) ?? [];
    this.#ofTopic.delete(topic);
    for (const { message } of list) this.account(-message.payload.length, -1);
    return list;
  }
}

/** QoS 0 was answered when it began to wait. */
function ignoreAnswer(): void {}
