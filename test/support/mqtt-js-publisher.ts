/** One client of the mqtt package with a window: what most Node sensors run, with its own ideas of reconnecting. */
import { connect } from "mqtt";
import type { MqttClient } from "mqtt";
import { decodePayload, encodePayload, nowUs, payloadTemplate } from "./payload.ts";
import { PublishHistory } from "./publish-history.ts";
import type { PublisherOptions } from "./lean-publisher.ts";

const RECONNECT_MS = 30;

export class MqttJsPublisher {
  readonly history: PublishHistory;
  readonly done: Promise<void>;
  readonly #options: PublisherOptions;
  readonly #settled = Promise.withResolvers<void>();
  #client: MqttClient | undefined;
  #isStopped = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.history = new PublishHistory(options.clientId, options.qos);
    this.done = this.#settled.promise;
    // Who never asks for `done` must not be ended by its rejection.
    this.done.catch(() => undefined);
  }

  start(): void {
    const { port, clientId, windowMax } = this.#options;
    const client = connect({ host: "127.0.0.1", port, clientId, clean: false, reconnectPeriod: RECONNECT_MS });
    this.#client = client;
    // It connects again after any error of the connection; what the agent does wrong shows in the history.
    client.on("error", () => undefined);
    // It sends again what it keeps unanswered, and without the DUP flag that [MQTT-3.3.1-1] asks for.
    const onTheWire = new Set<number>();
    client.on("packetsend", (packet) => {
      if (packet.cmd !== "publish") return;
      const { sequence } = decodePayload(packet.payload.toString("latin1"));
      if (onTheWire.has(sequence)) this.history.resend(sequence);
      onTheWire.add(sequence);
    });
    const lanes = Array.from({ length: windowMax }, () => this.#publishInTurn(client));
    Promise.all(lanes).then(
      () => this.#settled.resolve(),
      (error: unknown) => this.#settled.reject(error as Error),
    );
  }

  stop(): void {
    this.#isStopped = true;
  }

  close(): void {
    this.#isStopped = true;
    this.#client?.end(true);
  }

  async #publishInTurn(client: MqttClient): Promise<void> {
    const { clientId, payloadBytes, topic, qos, count } = this.#options;
    const template = payloadTemplate(clientId, payloadBytes);
    while (!this.#isStopped && this.history.sentCount < count) {
      const sequence = this.history.send();
      await client.publishAsync(topic, encodePayload(template, sequence, nowUs()), { qos });
      if (qos !== 0) this.history.acknowledge(sequence);
    }
  }
}
