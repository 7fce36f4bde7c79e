import { destination, pino } from "pino";
import type { Logger } from "pino";

export type { Logger } from "pino";

export const logLevels = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

/** JSON lines on stderr: stdout belongs to the ready line and to what commands print. */
export function createLogger(name: string, level: LogLevel): Logger {
  return pino({ name, level, base: { name } }, destination({ fd: 2, sync: true }));
}

/** For tests and for callers without a log. */
export function silentLogger(): Logger {
  return pino({ level: "silent" });
}
