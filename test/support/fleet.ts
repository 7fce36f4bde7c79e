/** Many MQTT clients at once, closed with their test. */
import { setTimeout as delay } from "node:timers/promises";
import { LeanPublisher } from "./lean-publisher.ts";
import type { PublisherOptions } from "./lean-publisher.ts";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";
import { MqttJsPublisher } from "./mqtt-js-publisher.ts";
import type { PublishHistory, Qos } from "./publish-history.ts";

export type FleetOptions = {
  readonly port: number;
  /** Client ids are this and a number. */
  readonly name: string;
  readonly clients: number;
  readonly qos: Qos;
  /** Of each client; Infinity: until `stop`. */
  readonly messagesEach: number;
  readonly windowMax: number;
  readonly payloadBytes?: number;
  readonly isIncompressible?: boolean;
  /** Of all clients together; without it, as fast as the windows let them. */
  readonly perSecond?: number;
  readonly kind?: "lean" | "mqtt.js";
  /** MQTT topic of a client. */
  readonly topicOf?: (clientId: string) => string;
};

const PAYLOAD_BYTES = 100;
const PACE_MS = 5;
const MS_PER_SECOND = 1000;

type Publisher = LeanPublisher | MqttJsPublisher;

export class Fleet {
  readonly #publishers: readonly Publisher[];
  #pacer: NodeJS.Timeout | undefined;

  constructor(publishers: readonly Publisher[], perSecond: number | undefined) {
    this.#publishers = publishers;
    if (perSecond !== undefined) this.#pace(perSecond);
    for (const publisher of publishers) publisher.start();
  }

  get histories(): readonly PublishHistory[] {
    return this.#publishers.map(({ history }) => history);
  }

  get sentCount(): number {
    return this.#sum((history) => history.sentCount);
  }

  get ackedCount(): number {
    return this.#sum((history) => history.ackedCount);
  }

  get resentCount(): number {
    return this.#sum((history) => history.resentCount);
  }

  /** Connections that were accepted, of lean clients. */
  get connectionCount(): number {
    const lean = this.#publishers.filter((publisher) => publisher instanceof LeanPublisher);
    return lean.reduce((sum, publisher) => sum + publisher.connectionCount, 0);
  }

  /** Waits until every message is answered. @throws at the deadline, or when a client fails. */
  async finish(deadlineMs: number): Promise<void> {
    const timer = new AbortController();
    const late = delay(deadlineMs, undefined, { signal: timer.signal }).then(() => {
      const state = `${this.ackedCount} of ${this.sentCount} messages are acknowledged`;
      throw new Error(`the publishers are not done after ${deadlineMs} ms: ${state}`);
    });
    try {
      await Promise.race([late, Promise.all(this.#publishers.map(({ done }) => done))]);
    } finally {
      timer.abort();
      await late.catch(() => undefined);
    }
  }

  /** No new messages; what is in flight is seen through. */
  async stop(deadlineMs: number): Promise<void> {
    for (const publisher of this.#publishers) publisher.stop();
    await this.finish(deadlineMs);
  }

  close(): void {
    clearInterval(this.#pacer);
    for (const publisher of this.#publishers) publisher.close();
  }

  /** Grants by the clock, not by the tick, so that late ticks do not slow the fleet down. */
  #pace(perSecond: number): void {
    const startMs = performance.now();
    const publishers = this.#publishers.filter((publisher) => publisher instanceof LeanPublisher);
    let granted = 0;
    this.#pacer = setInterval(() => {
      const due = Math.floor(((performance.now() - startMs) * perSecond) / MS_PER_SECOND);
      for (; granted < due; granted++) publishers[granted % publishers.length]?.allow(1);
    }, PACE_MS);
  }

  #sum(count: (history: PublishHistory) => number): number {
    return this.#publishers.reduce((sum, { history }) => sum + count(history), 0);
  }
}

export function startFleet(t: After, options: FleetOptions): Fleet {
  const { port, name, clients, qos, messagesEach, windowMax, perSecond, kind = "lean" } = options;
  if (kind === "mqtt.js" && perSecond !== undefined) throw new Error("mqtt.js clients are not paced");
  const topicOf = options.topicOf ?? ((clientId) => `sensors/${clientId}/value`);
  const digits = String(clients - 1).length;
  const publishers = Array.from({ length: clients }, (_, index) => {
    const clientId = `${name}${String(index).padStart(digits, "0")}`;
    const publisher: PublisherOptions = {
      port,
      clientId,
      topic: topicOf(clientId),
      qos,
      count: messagesEach,
      windowMax,
      payloadBytes: options.payloadBytes ?? PAYLOAD_BYTES,
      isIncompressible: options.isIncompressible ?? false,
      isPaced: perSecond !== undefined,
    };
    return kind === "lean" ? new LeanPublisher(publisher) : new MqttJsPublisher(publisher);
  });
  const fleet = new Fleet(publishers, perSecond);
  onCleanUp(t, () => fleet.close());
  return fleet;
}
