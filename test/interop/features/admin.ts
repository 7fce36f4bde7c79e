/** The administrative calls that the client offers, each with its expected answer. */
import assert from "node:assert/strict";
import type { AdminAnswer } from "../../support/client-driver.ts";
import type { Feature, Trial } from "./feature.ts";

/** The hub of these tests has no users, so there are no ACLs either. */
const SECURITY_DISABLED = /security.*disabled|SECURITY_DISABLED|error code: 54|\b54\b/i;

const expected: Readonly<Record<string, unknown>> = {
  createTopics: null,
  describeTopics: { partitions: 3 },
  describeConfigs: { "retention.ms": "3600000" },
  alterConfigs: { "max.message.bytes": "2000000" },
  createPartitions: null,
  produce: 10,
  listOffsets: { earliest: 0, latest: 10 },
  listMaxTimestamp: 9,
  describeProducers: 1,
  deleteRecords: 4,
  commitOffsets: null,
  listGroups: true,
  describeGroups: { state: "Empty", members: 0 },
  listGroupOffsets: { 0: 7 },
  deleteGroupOffsets: null,
  deleteGroups: null,
  describeCluster: { brokers: 1 },
  deleteTopics: null,
};
const refused: ReadonlySet<string> = new Set(["describeAcls", "createAcls"]);

async function run({ t, hub, driver, about, name }: Trial): Promise<string> {
  const answers = await driver.admin(t, { bootstrap: hub.kafkaAddress, topic: name, group: name });
  for (const answer of answers) {
    // It drops the error of this answer, whichever broker it is of.
    if (about.client === "librdkafka" && answer.call === "describeAcls" && answer.result === 0) continue;
    check(answer, name);
  }
  return `${answers.length} calls`;
}

function check({ call, result, error }: AdminAnswer, topic: string): void {
  if (refused.has(call)) return assert.match(`${error ?? ""} ${JSON.stringify(result)}`, SECURITY_DISABLED, call);
  assert.equal(error, undefined, call);
  if (call === "listTopics") return assert.ok((result as readonly string[]).includes(topic), call);
  assert.ok(call in expected, `${call} is not among the calls of the protocol`);
  assert.deepEqual(result, expected[call], call);
}

export const adminFeature: Feature = { key: "admin", title: "admin calls it offers", run };
