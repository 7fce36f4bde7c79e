/**
 * Texts of a route with places to fill in: `readings.{site}`, `{site}/{device}`. A place is the name of a capture of
 * the route's filter, or `topic` for the whole MQTT topic. `{{` and `}}` stand for the braces themselves.
 */
import type { Captures } from "../../shared/topic-filter.ts";
import { TOPIC_CAPTURE } from "../../shared/topic-filter.ts";

type Part = { readonly type: "text"; readonly text: string } | { readonly type: "place"; readonly name: string };

export type Template = { readonly source: string; readonly parts: readonly Part[] };

const TOKEN = /\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+/g;

/** The template, or everything that is wrong with it. `names` are the filter's captures. */
export function parseTemplate(
  source: string,
  names: readonly string[],
): Template | { readonly problems: readonly string[] } {
  const problems: string[] = [];
  const parts: Part[] = [];
  const addText = (text: string): void => {
    const last = parts.at(-1);
    if (last?.type === "text") parts[parts.length - 1] = { type: "text", text: last.text + text };
    else parts.push({ type: "text", text });
  };
  for (const [token, name] of source.matchAll(TOKEN)) {
    if (token === "{{" || token === "}}") {
      addText(token.slice(1));
    } else if (name !== undefined) {
      if (name !== TOPIC_CAPTURE && !names.includes(name)) {
        const known = [...names, TOPIC_CAPTURE].map((each) => `{${each}}`).join(", ");
        problems.push(`"${source}": {${name}} is not in the topic filter; there are ${known}`);
      }
      parts.push({ type: "place", name });
    } else if (token === "{" || token === "}") {
      problems.push(`"${source}": a single ${token}; write ${token}${token} for the character itself`);
    } else {
      addText(token);
    }
  }
  return problems.length > 0 ? { problems } : { source, parts };
}

/** `change` is applied to what is filled in, not to the template's own text. */
export function renderTemplate(
  template: Template,
  topic: string,
  captures: Captures,
  change: (text: string) => string = (text) => text,
): string {
  return template.parts
    .map((part) => {
      if (part.type === "text") return part.text;
      return change(part.name === TOPIC_CAPTURE ? topic : (captures.get(part.name) ?? ""));
    })
    .join("");
}

export function hasPlaces(template: Template): boolean {
  return template.parts.some((part) => part.type === "place");
}

/** Whether some captures could make the template into `text`. */
export function canRender(template: Template, text: string): boolean {
  const texts = template.parts.filter((part) => part.type === "text").map((part) => part.text);
  const first = template.parts[0];
  const last = template.parts.at(-1);
  if (!hasPlaces(template)) return texts.join("") === text;
  let at = 0;
  let end = text.length;
  if (first?.type === "text") {
    if (!text.startsWith(first.text)) return false;
    at = first.text.length;
    texts.shift();
  }
  if (last?.type === "text") {
    if (!text.endsWith(last.text)) return false;
    end -= last.text.length;
    texts.pop();
  }
  if (end < at) return false;
  // What lies between the places, each at its leftmost: linear, whatever the names that devices choose.
  for (const part of texts) {
    const found = text.indexOf(part, at);
    if (found === -1 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
