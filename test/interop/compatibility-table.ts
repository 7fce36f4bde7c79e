/**
 * `npm run docs:compatibility`: docs/kafka-compatibility.md from the last run of the interop suites (npm run
 * test:interop). With `--check` it writes nothing and fails where the page says anything else than the run, or where a
 * client of the page was not run.
 */
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { readResults } from "../support/client-results.ts";
import type { ClientResults } from "../support/client-results.ts";
import { page, table } from "../../scripts/markdown.ts";

const PAGE = path.join(import.meta.dirname, "..", "..", "docs", "kafka-compatibility.md");

/** The clients side by side are too wide to be read: one row a feature, one table a client. */
function compatibilityPage(results: readonly ClientResults[]): string {
  const clients = results.toSorted((a, b) => a.client.localeCompare(b.client));
  return page([
    "# Kafka clients that were tried",
    "<!-- Generated from a run of `npm run test:interop` by `npm run docs:compatibility`; a change here would be lost. -->",
    [
      "Every row was run in CI against a hub as users run it; a feature that fails fails the run. `–` stands before the",
      "reason why a client does not have a feature. Transactions are refused by design",
      "([the reason](adr/0009-no-kafka-transactions.md)).",
    ].join("\n"),
    overview(clients),
    ...clients.flatMap(({ client, version, outcomes }) => [
      `## ${client} ${version}`,
      table(
        ["feature", "outcome"],
        outcomes.map(({ feature, outcome }) => [feature, outcome]),
      ),
    ]),
  ]);
}

function overview(clients: readonly ClientResults[]): string {
  const rows = clients.map(({ client, version, outcomes }) => {
    const without = outcomes.filter(({ outcome }) => outcome.startsWith("–")).length;
    return [
      client,
      version,
      `${outcomes.length - without} of ${outcomes.length}`,
      without === 0 ? "" : String(without),
    ];
  });
  return table(["client", "version", "features that work", "that the client does not have"], rows);
}

if (import.meta.main) {
  const text = compatibilityPage(readResults());
  if (!process.argv.includes("--check")) {
    writeFileSync(PAGE, text);
  } else if (readFileSync(PAGE, "utf8") !== text) {
    process.stderr.write(`docs/kafka-compatibility.md is not what the run found:\n\n${text}\n`);
    process.exitCode = 1;
  }
}
