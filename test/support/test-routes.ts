/** The routes of the whole-program tests, as a configuration has them. */

/** One partition for each client, so that its order can be checked. */
export const eventsRoute = {
  match: "sensors/{client}/#",
  topic: "events",
  key: "{client}",
  partitions: 4,
  acks: "all",
} as const;

export const exactRoute = { ...eventsRoute, match: "exact/{client}/#", topic: "exact" } as const;

/** A hub that was away is found again soon; by default the agent is in less of a hurry. */
export const quickUplink = { retryMinMs: 20, retryMaxMs: 200 } as const;
