/**
 * A connection cut at every byte of an OffsetCommit and of its answer: what was answered as committed is committed; what
 * was not is the old offset or the new one, never anything else, also after a kill.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { offsetCommitApi, offsetFetchApi } from "../../../hub/kafka/schemas/groups.ts";
import { CuttingProxy } from "../../support/cutting-proxy.ts";
import { readResponse, requestFrame } from "../../support/kafka-hub.ts";
import { startHub } from "../../support/programs.ts";
import { RawKafkaClient } from "../../support/raw-kafka-client.ts";
import { openAdmin } from "../../support/topic-ends.ts";

const HOST = "127.0.0.1";
const GROUP = "cut";
const TOPIC = "cut";
const COMMIT_VERSION = 9;
const FETCH_VERSION = 9;

function commitRequest(committedOffset: number): Buffer {
  const partitions = [{ partitionIndex: 0, committedOffset, committedMetadata: null }];
  const request = {
    groupId: GROUP,
    generationIdOrMemberEpoch: -1,
    memberId: "",
    topics: [{ name: TOPIC, partitions }],
  };
  return requestFrame(offsetCommitApi, COMMIT_VERSION, request);
}

/** The error of the commit; undefined when the connection ended before the answer was complete. */
async function commit(t: TestContext, port: number, offset: number): Promise<number | undefined> {
  const client = await RawKafkaClient.connect(t, { host: HOST, port });
  client.send(commitRequest(offset));
  const frame = await Promise.race([client.receive(), client.closed]);
  client.socket.destroy();
  if (frame === undefined) return undefined;
  return readResponse(offsetCommitApi, COMMIT_VERSION, frame).topics[0]?.partitions[0]?.errorCode;
}

async function committed(client: RawKafkaClient): Promise<number> {
  const groups = [{ groupId: GROUP, topics: [{ name: TOPIC, partitionIndexes: [0] }] }];
  client.send(requestFrame(offsetFetchApi, FETCH_VERSION, { groups }));
  const { groups: found } = readResponse(offsetFetchApi, FETCH_VERSION, await client.receive());
  return Number(found[0]?.topics[0]?.partitions[0]?.committedOffset);
}

test("commits: cut at every byte of request and answer -> the old offset or the new one; answered ones are there", async (t) => {
  const hub = await startHub(t);
  const admin = await openAdmin(t, hub.kafkaAddress);
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 1 }] });
  const proxy = await CuttingProxy.start(t, {
    ...{ targetPort: hub.kafkaPort, port: 0, stride: 1, cutsAnswers: true },
    apiKey: offsetCommitApi.key,
  });
  const direct = await RawKafkaClient.connect(t, { host: HOST, port: hub.kafkaPort });
  assert.equal(await commit(t, proxy.port, 1), 0);
  proxy.begin();
  let before = 1;
  let unanswered = 0;
  for (let offset = 2; !proxy.isThrough; offset++) {
    const error = await commit(t, proxy.port, offset);
    const now = await committed(direct);
    if (error === undefined) {
      unanswered++;
      assert.ok(now === before || now === offset, `${now} where ${before} was and ${offset} may be`);
    } else {
      assert.deepEqual([error, now], [0, offset]);
    }
    before = now;
  }
  assert.ok(proxy.requestCuts > 50 && proxy.answerCuts > 20 && unanswered > 70, `${unanswered} cuts`);
  await hub.kill9();
  await hub.start();
  const again = await RawKafkaClient.connect(t, { host: HOST, port: hub.kafkaPort });
  assert.equal(await committed(again), before);
});
