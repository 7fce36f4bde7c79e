import type { ConfigFlags } from "../shared/config/load-config.ts";

/** Flags of `tributary agent`; `--config` itself is none of them. */
export const agentFlags = {
  name: { path: "agent.name", placeholder: "NAME", description: "what the hub calls this agent" },
  data: { path: "data.dir", placeholder: "DIR", description: "directory of the log" },
  mqtt: { path: "mqtt.listen", placeholder: "HOST:PORT", description: "where MQTT clients connect" },
  "mqtt-websocket": {
    path: "mqtt.webSocketListen",
    placeholder: "HOST:PORT",
    description: "where MQTT clients connect over WebSocket",
  },
  admin: { path: "admin.listen", placeholder: "HOST:PORT", description: "where /healthz, /status and /metrics are" },
  hub: { path: "uplink.hub", placeholder: "URL", description: "the hub to forward to: ws:// or wss://" },
  "token-file": { path: "uplink.tokenFile", placeholder: "FILE", description: "file that holds the hub's token" },
  "log-level": { path: "logLevel", placeholder: "LEVEL", description: "what is logged to stderr" },
} as const satisfies ConfigFlags;
