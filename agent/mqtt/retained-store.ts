/**
 * Retained messages: all of them in memory, written through. Messages that come while a commit is on its way form the
 * next one, a topic's newest only; so a sensor that retains every reading costs one row a commit, not one a reading.
 */
import type MemoryPersistence from "aedes-persistence/asyncPersistence.js";
import type { Durability } from "../../shared/record.ts";
import { exactCopy, fromClone } from "./exact-copy.ts";
import type { LimitLog } from "./limit-log.ts";
import type { MqttLimits } from "./limits.ts";
import type { SessionDatabase } from "./session-database.ts";
import type { Payload, QosLevel, RetainedRow } from "./session-tables.ts";

export type RetainedMessage = { readonly topic: string; readonly payload: Payload; readonly qos?: QosLevel };
type Gathering = { readonly messages: Map<string, RetainedMessage>; durability: Durability; written: Promise<void> };

export type RetainedStoreOptions = {
  readonly database: SessionDatabase;
  readonly mirror: MemoryPersistence;
  readonly limits: Pick<MqttLimits, "retainedTopicsMax" | "retainedBytesMax">;
  readonly limitLog: LimitLog;
};

export class RetainedStore {
  readonly #options: RetainedStoreOptions;
  readonly #bytesByTopic = new Map<string, number>();
  #bytes = 0;
  #gathering: Gathering | undefined;
  #previous: Promise<void> = Promise.resolve();

  constructor(options: RetainedStoreOptions) {
    this.#options = options;
  }

  stats(): { readonly topics: number; readonly bytes: number } {
    return { topics: this.#bytesByTopic.size, bytes: this.#bytes };
  }

  async load(rows: readonly RetainedRow[]): Promise<void> {
    for (const { topic, qos, payload } of rows) {
      await this.#remember({ cmd: "publish", topic, qos, payload: fromClone(payload), retain: true, dup: false });
    }
  }

  /** Resolves when the message is committed; an empty payload removes the topic's [MQTT-3.3.1-10]. */
  store(message: RetainedMessage): Promise<void> {
    const gathering = (this.#gathering ??= this.#gather());
    if ((message.qos ?? 0) > 0) gathering.durability = "fsync";
    gathering.messages.set(message.topic, { ...message, payload: exactCopy(message.payload) });
    return gathering.written;
  }

  #gather(): Gathering {
    const write = async (): Promise<void> => {
      this.#gathering = undefined;
      await this.#write(gathering);
    };
    // The previous commit's failure was its own callers' to hear.
    const written = this.#options.database.track(this.#previous.then(write, write));
    const gathering: Gathering = { messages: new Map(), durability: "os", written };
    this.#previous = written;
    return gathering;
  }

  async #write({ messages, durability }: Gathering): Promise<void> {
    const kept: RetainedMessage[] = [];
    const dropped: string[] = [];
    let topics = this.#bytesByTopic.size;
    let bytes = this.#bytes;
    for (const message of messages.values()) {
      const present = this.#bytesByTopic.get(message.topic);
      if (present !== undefined) topics--;
      bytes -= present ?? 0;
      const added = Buffer.byteLength(message.payload);
      if (added > 0 && this.#fits(topics + 1, bytes + added)) {
        kept.push(message);
        topics++;
        bytes += added;
      } else if (present !== undefined) {
        // Of a message too many the topic's older one goes as well: no value is better than one that is no longer true.
        dropped.push(message.topic);
      }
    }
    if (kept.length === 0 && dropped.length === 0) return;
    const rows = kept.map(({ topic, qos, payload }) => ({ topic, qos: qos ?? 0, payload }));
    await this.#options.database.call("retain", { kept: rows, dropped }, durability);
    for (const topic of dropped) await this.#remember({ topic, payload: Buffer.alloc(0) });
    for (const message of kept) await this.#remember(message);
  }

  #fits(topics: number, bytes: number): boolean {
    const { limits, limitLog } = this.#options;
    if (topics > limits.retainedTopicsMax) limitLog.reached("retainedTopicsMax", {});
    else if (bytes > limits.retainedBytesMax) limitLog.reached("retainedBytesMax", {});
    else return true;
    return false;
  }

  async #remember(message: RetainedMessage & Readonly<Record<string, unknown>>): Promise<void> {
    const { topic, payload } = message;
    this.#bytes -= this.#bytesByTopic.get(topic) ?? 0;
    const bytes = Buffer.byteLength(payload);
    this.#bytes += bytes;
    if (bytes === 0) this.#bytesByTopic.delete(topic);
    else this.#bytesByTopic.set(topic, bytes);
    await this.#options.mirror.storeRetained(message);
  }
}
