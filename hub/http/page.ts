/**
 * The hub's front page: what runs here, where, and where to look. Plain HTML without script or style, so that the
 * strictest content security policy has nothing to forbid. Names of topics, groups and agents come from outside, so
 * everything is escaped.
 */
import type { HubStatus } from "./status.ts";

/** A page is for people: of longer lists it shows the beginning. */
const ROWS_MAX = 100;

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

function table(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  if (rows.length === 0) return "<p>None yet.</p>";
  const cells = (tag: string, row: readonly (string | number)[]): string =>
    `<tr>${row.map((cell) => `<${tag}>${escapeHtml(String(cell))}</${tag}>`).join("")}</tr>`;
  const shown = rows.slice(0, ROWS_MAX).map((row) => cells("td", row));
  const more = rows.length > ROWS_MAX ? `<p>and ${rows.length - ROWS_MAX} more</p>` : "";
  return `<table>${cells("th", heads)}${shown.join("")}</table>${more}`;
}

export function renderPage(status: HubStatus): string {
  const sections = [
    `<h1>Tributary hub</h1><p>Version ${escapeHtml(status.version)}, cluster ${escapeHtml(status.clusterId)},
     up ${status.uptimeSeconds} s.</p>`,
    `<p><a href="/status">/status</a> <a href="/losses">/losses</a> <a href="/metrics">/metrics</a> <a href="/healthz">/healthz</a></p>`,
    `<h2>Addresses</h2>${table(["listener", "address"], Object.entries(status.addresses))}`,
    `<h2>Topics</h2>${table(
      ["topic", "partitions", "records", "bytes"],
      status.topics.map(({ topic, partitions }) => [
        topic,
        partitions.length,
        partitions.reduce((sum, { highWatermark, logStartOffset }) => sum + highWatermark - logStartOffset, 0),
        partitions.reduce((sum, { bytes }) => sum + bytes, 0),
      ]),
    )}`,
    `<h2>Groups</h2>${table(
      ["group", "state", "members", "lag"],
      status.groups.map(({ group, state, members, lag }) => [group, state, members, lag]),
    )}`,
    `<h2>Agents</h2>${table(
      ["agent", "connected", "records declared lost"],
      status.agents.map(({ agent, isConnected, declaredLost }) => [
        agent,
        isConnected ? "yes" : "no",
        Object.values(declaredLost).reduce((sum, records) => sum + records, 0),
      ]),
    )}`,
  ];
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tributary hub</title></head><body>
${sections.join("\n")}
</body></html>
`;
}
