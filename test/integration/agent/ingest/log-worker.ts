import { ledgerTable } from "../../../../agent/ledger/ledger-table.ts";
import { duplicateExtension } from "../../../../agent/ingest/duplicate-window-blocks.ts";
import { qosTwoExtension } from "../../../../agent/ingest/qos-two-packets.ts";
import { serveLog } from "../../../../shared/log/serve-log.ts";

serveLog([qosTwoExtension, duplicateExtension, ledgerTable]);
