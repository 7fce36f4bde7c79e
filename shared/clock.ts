/** The only place that asks for the time, so that tests can turn the clock. */
export interface Clock {
  /** Milliseconds since the Unix epoch; jumps when the system clock is set. For timestamps people see. */
  wallMs(): number;
  /** Milliseconds since some fixed moment; never jumps. For everything that measures or waits. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
