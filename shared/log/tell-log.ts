/** What becomes of a log, told in the program's own. */
import type { Logger } from "../logger.ts";
import type { WorkerLogOptions } from "./worker-log.ts";

const SALVAGED =
  "the log is damaged: its files go to quarantine, what can be read is carried over, the rest is declared lost";
const GIVEN_UP =
  "the log's last commits are given up, because its WAL breaks off before them: the power went before they were flushed, or the disk is damaged";
const HELD =
  "another program reads the log's database and holds on: the write-ahead log grows until that program lets go, beyond every cap";

type Told = "onCounting" | "onSalvage" | "onGivenUp" | "onRoom" | "onHeld" | "onDamage";

/** `damagedText`: what happens to a batch that is damaged. */
export function tellLog(logger: Logger, damagedText: string): Required<Pick<WorkerLogOptions, Told>> {
  return {
    onCounting: (bytes) => logger.info({ bytes }, "the log was not closed; counting what it holds"),
    onSalvage: (cause) => logger.error({ code: "LOG_CORRUPT", cause }, SALVAGED),
    onGivenUp: (commits) => logger.warn({ code: "LOG_CORRUPT", commits }, GIVEN_UP),
    onRoom: (hasRoom) => {
      if (hasRoom) logger.info("the disk has room again: the log takes data");
      else logger.error({ code: "LOG_FULL" }, "the disk is full: the log only frees until there is room");
    },
    onHeld: (walBytes) => logger.warn({ walBytes }, HELD),
    onDamage: ({ partition: { topic, partition }, from, to }) =>
      logger.error({ code: "CORRUPT_RECORD", topic, partition, from, to }, damagedText),
  };
}
