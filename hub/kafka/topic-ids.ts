import type { Engine, TopicInfo } from "../engine/engine.ts";
import { UUID_BYTES } from "./wire-reader.ts";

export const zeroId = Buffer.alloc(UUID_BYTES);

/** Some clients send the zero id together with a name. */
export const isZeroId = (id: Buffer): boolean => id.equals(zeroId);

/**
 * Topics by id (KIP-516), over the engine's topics by name. Built when it is asked for an id it does not know, but only
 * once per request: a request full of made-up ids must not scan the topics for each.
 */
export class TopicIds {
  readonly #engine: Engine;
  #names = new Map<string, string>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** A look-up for one request. */
  forRequest(): (id: Buffer) => TopicInfo | undefined {
    let rebuilt = false;
    return (id) => {
      const known = this.#find(id);
      if (known !== undefined || rebuilt) return known;
      rebuilt = true;
      this.#rebuild();
      return this.#find(id);
    };
  }

  /** The index may be older than the topics: what it finds must still bear the id. */
  #find(id: Buffer): TopicInfo | undefined {
    const name = this.#names.get(id.toString("latin1"));
    const topic = name === undefined ? undefined : this.#engine.topics.get(name);
    return topic !== undefined && topic.id.equals(id) ? topic : undefined;
  }

  #rebuild(): void {
    this.#names = new Map();
    for (const topic of this.#engine.topics.values()) this.#names.set(topic.id.toString("latin1"), topic.name);
  }
}
