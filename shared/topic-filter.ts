/**
 * MQTT topic filters with named captures: what a route says about the messages it takes.
 *
 *   sensors/+/temp          one level, whatever it is
 *   sensors/{site}/temp     the same, and the level's text is kept under the name `site`
 *   sensors/#               `sensors` and everything below it; only as the last level
 *   sensors//temp           an empty level is a level like any other
 *
 * A filter whose first level is a wildcard or a capture does not match topics that begin with `$` [MQTT-4.7.2-1].
 * Source: MQTT 3.1.1 section 4.7.
 */

/** The name under which the whole MQTT topic is known to templates; no capture may take it. */
export const TOPIC_CAPTURE = "topic";

/** [MQTT-4.7.3-3]: what the two length bytes of an MQTT string allow. */
const FILTER_BYTES_MAX = 65_535;
const CAPTURE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/;

type FilterLevel =
  | { readonly type: "literal"; readonly text: string }
  | { readonly type: "any"; readonly capture: string | undefined };

export type TopicFilter = {
  readonly source: string;
  readonly levels: readonly FilterLevel[];
  /** The filter ended in `#`, which is not among `levels`. */
  readonly hasRest: boolean;
  /** Names of the captures, in order. */
  readonly captures: readonly string[];
};

/** What the captures of a filter stood for in one topic. */
export type Captures = ReadonlyMap<string, string>;

/** The filter, or everything that is wrong with it, in words for whoever wrote the configuration. */
export function parseTopicFilter(source: string): TopicFilter | { readonly problems: readonly string[] } {
  if (source.length === 0) return { problems: ["a topic filter must not be empty"] };
  const problems: string[] = [];
  if (source.includes("\0")) problems.push(`"${source}": the null character is not allowed in a topic filter`);
  if (new TextEncoder().encode(source).length > FILTER_BYTES_MAX) {
    problems.push(`a topic filter has at most ${FILTER_BYTES_MAX} bytes`);
  }
  const texts = source.split("/");
  const hasRest = texts.at(-1) === "#";
  if (hasRest) texts.pop();
  const captures: string[] = [];
  const levels = texts.map((text): FilterLevel => {
    const level = parseLevel(text);
    if (typeof level === "string") {
      problems.push(`"${source}": ${level}`);
      return { type: "literal", text };
    }
    if (level.type === "any" && level.capture !== undefined) {
      if (captures.includes(level.capture)) problems.push(`"${source}": {${level.capture}} is there twice`);
      captures.push(level.capture);
    }
    return level;
  });
  return problems.length > 0 ? { problems } : { source, levels, hasRest, captures };
}

/** The level, or what is wrong with it. */
function parseLevel(text: string): FilterLevel | string {
  if (text === "+") return { type: "any", capture: undefined };
  if (text.includes("#")) return "# must be the last level and stand alone in it";
  if (text.includes("+")) return `+ must stand alone in its level, not in "${text}"`;
  if (!text.includes("{") && !text.includes("}")) return { type: "literal", text };
  const name = /^\{(.*)\}$/s.exec(text)?.[1];
  if (name === undefined) return `a {capture} must be a whole level, not a part of "${text}"`;
  if (!CAPTURE_NAME.test(name)) return `"{${name}}" is no capture: its name is letters, digits and _, at most 64`;
  if (name === TOPIC_CAPTURE) return `{${TOPIC_CAPTURE}} always stands for the whole MQTT topic; choose another name`;
  return { type: "any", capture: name };
}

const noCaptures: Captures = new Map();

/** The captures when `topic` matches, an empty map where the filter has none; undefined when it does not match. */
export function matchTopic(filter: TopicFilter, topic: string): Captures | undefined {
  const { levels, hasRest } = filter;
  const startsWithWildcard = levels.length === 0 || levels[0]?.type === "any";
  if (startsWithWildcard && topic.startsWith("$")) return undefined;
  let captures: Map<string, string> | undefined;
  let at = 0;
  for (const level of levels) {
    // The topic has ended before the filter did.
    if (at > topic.length) return undefined;
    const slash = topic.indexOf("/", at);
    const text = topic.slice(at, slash === -1 ? topic.length : slash);
    if (level.type === "literal") {
      if (level.text !== text) return undefined;
    } else if (level.capture !== undefined) {
      captures ??= new Map();
      captures.set(level.capture, text);
    }
    at += text.length + 1;
  }
  // One past the end means that the last level took all of the topic; `a/#` matches `a` too.
  return hasRest || at > topic.length ? (captures ?? noCaptures) : undefined;
}
