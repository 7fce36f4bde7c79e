/** All features with one client, against a hub as users run it. */
import { after, before, suite, test } from "node:test";
import type { After } from "../../support/clean-up.ts";
import { ClientDriver } from "../../support/client-driver.ts";
import type { About, DriverLaunch } from "../../support/client-driver.ts";
import { forgetResults, writeResults } from "../../support/client-results.ts";
import type { FeatureOutcome } from "../../support/client-results.ts";
import { startHub } from "../../support/programs.ts";
import type { HubProgram } from "../../support/programs.ts";
import { openAdmin } from "../../support/topic-ends.ts";
import { adminFeature } from "./admin.ts";
import type { Feature } from "./feature.ts";
import { groupFeature, hubDeathFeature, nextGenerationGroupFeature, staticMemberFeature } from "./groups.ts";
import { idempotentFeature } from "./idempotent.ts";
import { acksNoneFeature, consumeFeature, produceFeature } from "./produce-consume.ts";
import { securityFeature } from "./security.ts";
import { seekTimestampFeature } from "./seek-timestamp.ts";

export const features: readonly Feature[] = [
  produceFeature,
  acksNoneFeature,
  consumeFeature,
  idempotentFeature,
  groupFeature,
  hubDeathFeature,
  staticMemberFeature,
  nextGenerationGroupFeature,
  seekTimestampFeature,
  adminFeature,
  securityFeature,
];

/** Members that are killed are to be missed within seconds. */
const HUB_CONFIG = {
  groups: {
    sessionTimeoutMinMs: 500,
    initialRebalanceDelayMs: 200,
    consumerSessionTimeoutMs: 6000,
    consumerHeartbeatIntervalMs: 1000,
  },
};

export function clientSuite(name: string, launch: () => Promise<DriverLaunch>): void {
  suite(name, () => {
    const cleanUps: (() => unknown)[] = [];
    // Directories and programs of the whole suite; `after` within a hook would end them with the hook.
    const lifetime: After = { after: (fn) => void cleanUps.push(fn as () => unknown) };
    const outcomes: FeatureOutcome[] = [];
    let driver: ClientDriver;
    let about: About;
    let hub: HubProgram;

    before(async () => {
      driver = new ClientDriver(await launch());
      about = await driver.about(lifetime);
      forgetResults(about.client);
      hub = await startHub(lifetime, { config: HUB_CONFIG });
    });
    after(async () => {
      if (outcomes.length === features.length) writeResults({ client: about.client, version: about.version, outcomes });
      for (const cleanUp of cleanUps) await cleanUp();
    });

    for (const [index, { key, title, run }] of features.entries()) {
      test(title, async (t) => {
        const reason = about.without[key];
        if (reason !== undefined) {
          t.diagnostic(`${about.client} does not have it: ${reason}`);
          return void outcomes.push({ feature: title, outcome: `– (${reason})` });
        }
        const admin = await openAdmin(t, hub.kafkaAddress);
        const trial = { t, hub, admin, driver, about, name: `${key}-${index}` };
        outcomes.push({ feature: title, outcome: (await run(trial)) ?? "yes" });
      });
    }
  });
}
