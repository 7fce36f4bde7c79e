/** The agent's log thread: the log with the agent's own tables in its transactions. */
import { serveLog } from "../shared/log/serve-log.ts";
import { duplicateExtension } from "./ingest/duplicate-window-blocks.ts";
import { spaceExtension } from "./buffer/space-extension.ts";
import { qosTwoExtension } from "./ingest/qos-two-packets.ts";
import { ledgerTable } from "./ledger/ledger-table.ts";
import { sessionExtension } from "./mqtt/session-tables.ts";
import { clockTable } from "./time/clock-table.ts";
import { epochTable } from "./uplink/epoch-table.ts";

serveLog([sessionExtension, qosTwoExtension, duplicateExtension, epochTable, ledgerTable, spaceExtension, clockTable]);
