import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHubAddress } from "../../../bin/hub-client/address.ts";
import { withAdmin } from "../../../bin/hub-client/connect.ts";
import { RecordSender } from "../../../bin/hub-client/record-sender.ts";
import { readTopic } from "../../../bin/hub-client/topic-reader.ts";
import { runCommand, startHubCommand } from "../../support/run-command.ts";
import { tempDir } from "../../support/temp-dir.ts";

const RECORD_COUNT = 30;
/** More than one fetch returns of a partition. */
const RECORD_BYTES = 100_000;

test("records that are deleted while a topic is read are told, and reading goes on behind them", async (t) => {
  const { kafka } = await startHubCommand(t, tempDir(t));
  const address = parseHubAddress(kafka);
  await runCommand(["topics", "create", "big", "--partitions", "1", "--kafka", kafka]);
  const sender = await RecordSender.open({
    address,
    topic: "big",
    acks: "all",
    compression: "none",
    partition: undefined,
  });
  for (let index = 0; index < RECORD_COUNT; index++) {
    await sender.add({ key: undefined, value: "x".repeat(RECORD_BYTES), headers: [] });
    await sender.flush();
  }
  await sender.close();
  const offsets: number[] = [];
  const notices: string[] = [];
  await readTopic({
    address,
    topic: "big",
    position: { type: "earliest" },
    recordCountMax: undefined,
    untilEnd: true,
    signal: t.signal,
    notice: (text) => notices.push(text),
    sink: async (records) => {
      if (offsets.length === 0) {
        const topics = [{ name: "big", partitions: [{ partition: 0, offset: 25n }] }];
        await withAdmin(address, (admin) => admin.deleteRecords({ topics }));
      }
      offsets.push(...records.map((record) => record.offset));
    },
  });
  const missing = Array.from({ length: RECORD_COUNT }, (_, index) => index).filter((index) => !offsets.includes(index));
  assert.ok(missing.length > 0 && missing.length < 25, `missing ${missing.join()}`);
  assert.deepEqual(
    offsets,
    Array.from({ length: RECORD_COUNT }, (_, index) => index).filter((index) => !missing.includes(index)),
  );
  assert.equal(missing.at(-1), 24);
  assert.deepEqual(notices, [`big/0: offsets ${missing[0]} to 24 are gone, reading goes on at 25`]);
});
