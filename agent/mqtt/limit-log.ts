/** Counts each limit that was reached and says so in the log, not more often than every LINE_INTERVAL_MS a limit. */
import type { Clock } from "../../shared/clock.ts";
import type { Logger } from "../../shared/logger.ts";
import { mqttLimitTable, mqttRules } from "./limits.ts";
import type { LimitName, MqttLimits } from "./limits.ts";

const LINE_INTERVAL_MS = 10_000;

export type LimitFields = { readonly clientId?: string; readonly address?: string; readonly cause?: string };
type Entry = { count: number; loggedAtMs: number; unlogged: number };

export class LimitLog {
  readonly #limits: MqttLimits;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #entries = new Map<LimitName, Entry>();

  constructor(limits: MqttLimits, logger: Logger, clock: Clock) {
    this.#limits = limits;
    this.#logger = logger;
    this.#clock = clock;
  }

  reached(limit: LimitName, fields: LimitFields): void {
    const now = this.#clock.monotonicMs();
    const entry = this.#entries.get(limit) ?? { count: 0, loggedAtMs: -Infinity, unlogged: 0 };
    this.#entries.set(limit, entry);
    entry.count++;
    if (now - entry.loggedAtMs < LINE_INTERVAL_MS) {
      entry.unlogged++;
      return;
    }
    const rule = limit in mqttLimitTable ? { max: this.#limits[limit as keyof MqttLimits] } : { rule: ruleText(limit) };
    this.#logger.warn(
      { code: "MQTT_LIMIT", limit, ...rule, ...fields, unlogged: entry.unlogged },
      "MQTT limit reached",
    );
    entry.loggedAtMs = now;
    entry.unlogged = 0;
  }

  /** How often each limit was reached; limits never reached are absent. */
  counts(): Partial<Record<LimitName, number>> {
    return Object.fromEntries([...this.#entries].map(([limit, entry]) => [limit, entry.count]));
  }
}

function ruleText(limit: LimitName): string {
  return mqttRules[limit as keyof typeof mqttRules];
}
