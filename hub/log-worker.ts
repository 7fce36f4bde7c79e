/** The hub's log thread: the log with the hub's own tables in its transactions. */
import { serveLog } from "../shared/log/serve-log.ts";
import { groupTables } from "./engine/group-tables.ts";
import { ledgerTable } from "./uplink/ledger-table.ts";

serveLog([groupTables, ledgerTable]);
