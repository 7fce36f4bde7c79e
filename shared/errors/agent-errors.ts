/** Of the agent: the uplink to the hub, and its MQTT listener. */
import type { ErrorRow } from "./error-row.ts";

export const agentErrors = {
  // The uplink
  PROTOCOL_VIOLATION: {
    retriable: false,
    wire: 42,
    meaning: "The peer broke the protocol; the connection is closed.",
    hint: "The two sides may be of versions that do not fit, or something else speaks on this port.",
  },
  FRAME_CORRUPT: {
    retriable: true,
    wire: 2,
    meaning: "A message of the uplink arrived with other bytes than were sent; the connection is closed.",
    hint: "Everything unanswered is sent again. If it happens often, suspect a router, a proxy or memory on the path.",
  },
  UPLINK_VERSION: {
    retriable: true,
    wire: 35,
    meaning: "Agent and hub speak different versions of the uplink protocol.",
    hint: "Update the older of the two, hub or agent; the agent keeps the data and tries again meanwhile.",
  },
  UNAUTHORIZED: {
    retriable: true,
    wire: 58,
    meaning: "The credentials are missing or wrong.",
    hint: "Give the agent the hub's uplink token (`uplink.token`, or TRIBUTARY_UPLINK_TOKEN).",
  },
  HUB_UNREACHABLE: {
    retriable: true,
    wire: -1,
    meaning: "The hub does not answer.",
    hint: "The agent keeps the data and tries again; check the address, the network and that the hub runs.",
  },
  HUB_NOT_TRUSTED: {
    retriable: true,
    wire: -1,
    meaning: "The hub's TLS certificate cannot be trusted.",
    hint: "The agent keeps the data and tries again; check the certificate, the hub's name, `uplink.caFile` and the clock.",
  },
  AGENT_RUNS_TWICE: {
    retriable: true,
    wire: -1,
    meaning: "Another agent with the same data is connected to the hub.",
    hint: "Was a data directory or a card copied? Stop one of the two, and give it an empty data directory.",
  },
  UNRECONCILED: {
    retriable: false,
    wire: -1,
    meaning: "The hub has stored another number of an agent's records than the agent has delivered.",
    hint: "Compare `ledger` in the agent's /status with the hub's; then report it, for no fault we know of leads there.",
  },
  TIMEOUT: {
    retriable: true,
    wire: 7,
    meaning: "No answer in time.",
    hint: "Try again; look at the load of the peer.",
  },
  OVERLOADED: {
    retriable: true,
    wire: 89,
    meaning: "A queue is at its maximum.",
    hint: "Send slower; the message names the queue.",
  },
  // MQTT
  MQTT_LIMIT: {
    retriable: false,
    wire: 42,
    meaning: "An MQTT client went over a limit of the listener.",
    hint: "The message names the limit; `mqtt.limits` in the agent's configuration sets it.",
  },
} as const satisfies Record<string, ErrorRow>;
