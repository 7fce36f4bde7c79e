import { qosTwoExtension } from "../../../../agent/ingest/qos-two-packets.ts";
import { serveLog } from "../../../../shared/log/serve-log.ts";

serveLog([qosTwoExtension]);
