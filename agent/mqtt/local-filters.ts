/**
 * The topic filters of the connections there are: whether a message has anyone here to go to. It may say yes where there
 * is nobody, never no where there is somebody.
 */
type Filter = { readonly levels: readonly string[]; count: number };

/** Topics whose answers are remembered; all are forgotten when a filter comes or goes, or this is full. */
const ANSWERS_MAX = 4096;

export class LocalFilters {
  readonly #filters = new Map<string, Filter>();
  readonly #answers = new Map<string, boolean>();

  add(filter: string): void {
    const known = this.#filters.get(filter);
    if (known !== undefined) {
      known.count++;
      return;
    }
    this.#filters.set(filter, { levels: filter.split("/"), count: 1 });
    this.#answers.clear();
  }

  remove(filter: string): void {
    const known = this.#filters.get(filter);
    if (known === undefined || --known.count > 0) return;
    this.#filters.delete(filter);
    this.#answers.clear();
  }

  /** Whether one of them may match. */
  matches(topic: string): boolean {
    if (this.#filters.size === 0) return false;
    const known = this.#answers.get(topic);
    if (known !== undefined) return known;
    if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
    const answer = this.#find(topic.split("/"));
    this.#answers.set(topic, answer);
    return answer;
  }

  #find(topic: readonly string[]): boolean {
    for (const { levels } of this.#filters.values()) if (covers(levels, topic)) return true;
    return false;
  }
}

/** [MQTT-4.7.1-2], [MQTT-4.7.1-3]; `#` stands for its parent, too. */
function covers(filter: readonly string[], topic: readonly string[]): boolean {
  for (const [index, level] of filter.entries()) {
    if (level === "#") return true;
    if (index >= topic.length || (level !== "+" && level !== topic[index])) return false;
  }
  return filter.length === topic.length;
}
