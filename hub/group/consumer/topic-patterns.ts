/**
 * The regular expressions of subscriptions (KIP-848, RE2 syntax, whole names), and which topics they match.
 *
 * The expression comes from outside. RE2 takes time linear in expression and name, whatever they are, where JavaScript's
 * own engine can be made to stand still for hours. What is left is bounded: expressions by their length and by the size
 * of the program they become, and the work on one by slices of SLICE_MS, between which the hub does everything else.
 * One name costs some ten milliseconds at the very worst; a topic's verdict is kept, so only new topics cost anything.
 */
import { RE2JS, RE2JSException } from "re2js";
import type { TopicCatalog } from "./consumer-state.ts";
import { expandedSize } from "./regex-size.ts";

export const REGEX_LENGTH_MAX = 512;
/** Instructions; `sensors\..*` has 12, and `a{100}` about 100. */
export const REGEX_PROGRAM_MAX = 1000;
/** Before it is compiled, which would take too long otherwise; an estimate that is too high by up to this. */
const REGEX_EXPANDED_MAX = 4 * REGEX_PROGRAM_MAX;
/** Expressions remembered at a time; a forgotten one is compiled and matched again. */
const PATTERNS_MAX = 200;
const SLICE_MS = 5;

type Pattern = {
  readonly expression: RE2JS;
  verdicts: ReadonlyMap<string, boolean>;
  /** What `names` are the matching topics of. */
  catalog: TopicCatalog | undefined;
  names: readonly string[];
};

type Rim = {
  readonly monotonicMs: () => number;
  /** Resolves when everything that waits had its turn. */
  readonly pause: () => Promise<void>;
};

export class TopicPatterns {
  readonly #rim: Rim;
  /** Least recently used first. */
  readonly #patterns = new Map<string, Pattern>();
  /** One expression at a time: many at once would be as bad as a long one. */
  #turn: Promise<void> = Promise.resolve();

  constructor(rim: Rim) {
    this.#rim = rim;
  }

  /** What is wrong with the expression. */
  check(regex: string): string | undefined {
    const pattern = this.#find(regex);
    return typeof pattern === "string" ? pattern : undefined;
  }

  /** The topics that it matches, when that is known already. */
  known(regex: string, catalog: TopicCatalog): readonly string[] | undefined {
    const pattern = this.#patterns.get(regex);
    return pattern?.catalog === catalog ? pattern.names : undefined;
  }

  async match(regex: string, catalog: TopicCatalog): Promise<readonly string[]> {
    const before = this.#turn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#turn = promise;
    await before;
    try {
      return this.known(regex, catalog) ?? (await this.#matchNow(regex, catalog));
    } finally {
      resolve();
    }
  }

  async #matchNow(regex: string, catalog: TopicCatalog): Promise<readonly string[]> {
    const pattern = this.#find(regex);
    // Checked when the member came; an older hub may have known other limits.
    if (typeof pattern === "string") return [];
    const verdicts = new Map<string, boolean>();
    let sliceEndsMs = this.#rim.monotonicMs() + SLICE_MS;
    for (const name of catalog.keys()) {
      verdicts.set(name, pattern.verdicts.get(name) ?? pattern.expression.matches(name));
      if (this.#rim.monotonicMs() < sliceEndsMs) continue;
      await this.#rim.pause();
      sliceEndsMs = this.#rim.monotonicMs() + SLICE_MS;
    }
    pattern.verdicts = verdicts;
    pattern.catalog = catalog;
    pattern.names = [...verdicts].filter(([, isMatch]) => isMatch).map(([name]) => name);
    return pattern.names;
  }

  #find(regex: string): Pattern | string {
    const known = this.#patterns.get(regex);
    const pattern = known ?? compile(regex);
    if (typeof pattern === "string") return pattern;
    this.#patterns.delete(regex);
    this.#patterns.set(regex, pattern);
    const [oldest] = this.#patterns.keys();
    if (this.#patterns.size > PATTERNS_MAX && oldest !== undefined) this.#patterns.delete(oldest);
    return pattern;
  }
}

function compile(regex: string): Pattern | string {
  if (regex.length > REGEX_LENGTH_MAX) return `it has ${regex.length} characters, ${REGEX_LENGTH_MAX} are allowed`;
  const expanded = expandedSize(regex);
  if (expanded > REGEX_EXPANDED_MAX) return `it takes about ${expanded} instructions, ${REGEX_PROGRAM_MAX} are allowed`;
  try {
    const expression = RE2JS.compile(regex);
    const size = expression.programSize();
    if (size > REGEX_PROGRAM_MAX) return `it takes ${size} instructions, ${REGEX_PROGRAM_MAX} are allowed`;
    return { expression, verdicts: new Map(), catalog: undefined, names: [] };
  } catch (error) {
    if (error instanceof RE2JSException) return error.message;
    throw error;
  }
}
