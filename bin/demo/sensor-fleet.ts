/** The simulated sensors as real MQTT clients: one connection each, QoS 1. */
import { connectAsync } from "mqtt";
import type { MqttClient } from "mqtt";
import type { Clock } from "../../shared/clock.ts";
import type { Reading, Sensor } from "./sensor-model.ts";

/** Readings of one sensor that are not acknowledged yet; beyond it, new ones are dropped as a real device would. */
const UNACKNOWLEDGED_COUNT_MAX = 50;
const RECONNECT_MS = 1000;
const CONNECT_TIMEOUT_MS = 5000;

export class SensorFleet {
  readonly #clients: MqttClient[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #clock: Clock;
  #acknowledgedCount = 0;
  #droppedCount = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get acknowledgedCount(): number {
    return this.#acknowledgedCount;
  }

  /** Not sent because the agent was away or did not acknowledge for too long. */
  get droppedCount(): number {
    return this.#droppedCount;
  }

  /** Connects all sensors; they publish from then on. `url` is mqtt://HOST:PORT. */
  async start(url: string, sensors: readonly Sensor[]): Promise<void> {
    await Promise.all(sensors.map((sensor) => this.#startSensor(url, sensor)));
  }

  async #startSensor(url: string, sensor: Sensor): Promise<void> {
    const client = await connectAsync(url, {
      clientId: sensor.clientId,
      reconnectPeriod: RECONNECT_MS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      reschedulePings: true,
    });
    // The client connects again by itself; what it cannot send meanwhile is counted as dropped.
    client.on("error", () => undefined);
    this.#clients.push(client);
    let unacknowledged = 0;
    const publish = (reading: Reading): void => {
      if (!client.connected || unacknowledged >= UNACKNOWLEDGED_COUNT_MAX) {
        this.#droppedCount++;
        return;
      }
      unacknowledged++;
      const payload = JSON.stringify(reading.payload);
      client.publish(reading.topic, payload, { qos: 1, retain: reading.isRetained }, (error) => {
        unacknowledged--;
        if (error === undefined || error === null) this.#acknowledgedCount++;
        else this.#droppedCount++;
      });
    };
    const timer = setInterval(() => sensor.read(this.#clock.wallMs()).forEach(publish), sensor.intervalMs);
    this.#timers.push(timer);
  }

  /** Waits for outstanding acknowledgements, unless `force`. */
  async stop(force: boolean): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#clients.map((client) => client.endAsync(force)));
  }
}
