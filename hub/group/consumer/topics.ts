/**
 * The hub's topics as groups of the newer protocol see them. A catalog is made anew only when a topic came, went or grew,
 * so that a heartbeat sees by one comparison that it need not look any further.
 */
import type { TopicInfo } from "../../engine/engine.ts";
import type { CatalogTopic, TopicCatalog, World } from "./consumer-state.ts";
import type { TopicPatterns } from "./topic-patterns.ts";

/** What expressions match in a catalog. */
export type Matched = { readonly catalog: TopicCatalog; readonly topics: ReadonlyMap<string, readonly string[]> };

export class GroupTopics {
  readonly #topics: ReadonlyMap<string, TopicInfo>;
  readonly #patterns: TopicPatterns;
  #seen = new Map<string, TopicInfo>();
  #catalog: TopicCatalog = new Map();

  constructor(topics: ReadonlyMap<string, TopicInfo>, patterns: TopicPatterns) {
    this.#topics = topics;
    this.#patterns = patterns;
  }

  get catalog(): TopicCatalog {
    if (!this.#isSeen()) {
      this.#seen = new Map(this.#topics);
      this.#catalog = new Map(Array.from(this.#topics, ([name, info]) => [name, toCatalogTopic(info)]));
    }
    return this.#catalog;
  }

  #isSeen(): boolean {
    if (this.#seen.size !== this.#topics.size) return false;
    for (const [name, info] of this.#topics) {
      const seen = this.#seen.get(name);
      if (seen === info) continue;
      // Its configuration may be another; that is not our affair.
      if (seen === undefined || seen.partitionCount !== info.partitionCount || !seen.id.equals(info.id)) return false;
    }
    return true;
  }

  /** At once when all of it is known already. */
  match(regexes: readonly string[]): Matched | Promise<Matched> {
    const { catalog } = this;
    const topics = new Map<string, readonly string[]>();
    for (const regex of regexes) {
      const known = this.#patterns.known(regex, catalog);
      if (known === undefined) return this.#matchAll(regexes, catalog);
      topics.set(regex, known);
    }
    return { catalog, topics };
  }

  async #matchAll(regexes: readonly string[], catalog: TopicCatalog): Promise<Matched> {
    const topics = new Map<string, readonly string[]>();
    for (const regex of regexes) topics.set(regex, await this.#patterns.match(regex, catalog));
    return { catalog, topics };
  }

  /** The world as it is now. What was matched in another one is not known in this. */
  world(matched: Matched): World {
    const { catalog } = this;
    return { catalog, matching: (regex) => (matched.catalog === catalog ? matched.topics.get(regex) : undefined) };
  }
}

function toCatalogTopic({ id, partitionCount }: TopicInfo): CatalogTopic {
  return { id: id.toString("hex"), partitionCount };
}
