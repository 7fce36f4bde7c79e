/** Of both programs: configuration and start-up, HTTP, and what nobody foresaw. */
import type { ErrorRow } from "./error-row.ts";

export const programErrors = {
  // Configuration and start-up
  CONFIG_INVALID: {
    retriable: false,
    wire: 40,
    meaning: "The configuration has mistakes.",
    hint: "Every mistake is listed; `tributary check` shows each value and where it came from.",
  },
  LISTENER_NOT_PROTECTED: {
    retriable: false,
    wire: 29,
    meaning: "A listener on an address other than loopback has no authentication.",
    hint: "Bind it to 127.0.0.1, configure authentication, or set `insecure: true` if the network itself is trusted.",
  },
  PORT_IN_USE: {
    retriable: true,
    wire: -1,
    meaning: "Another program listens on the address.",
    hint: "Stop the other program, or choose another port; port 0 takes any free one.",
  },
  CERTIFICATE_INVALID: {
    retriable: false,
    wire: -1,
    meaning: "A TLS certificate or its key cannot be used.",
    hint: "The message says what is wrong with which file; the key must be readable by the hub's user alone.",
  },
  // HTTP
  NOT_FOUND: {
    retriable: false,
    wire: 42,
    meaning: "There is nothing at this address.",
    hint: "`/` lists what is served; check path and method.",
  },
  // Anything else
  UNEXPECTED: {
    retriable: false,
    wire: -1,
    meaning: "Something failed that should not.",
    hint: "Please report it with the log lines around it.",
  },
} as const satisfies Record<string, ErrorRow>;
