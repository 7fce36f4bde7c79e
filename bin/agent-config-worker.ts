/** The thread of agent-config.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { loadAgentConfig } from "../agent/config.ts";
import { toStreamError } from "../shared/errors.ts";
import { invariant } from "../shared/invariant.ts";
import { toFailure } from "../shared/thread-failure.ts";
import type { ConfigAnswer, ConfigQuestion } from "./agent-config.ts";

invariant(parentPort !== null, "the configuration is loaded in a worker thread");
const { sources } = workerData as ConfigQuestion;
let answer: ConfigAnswer;
try {
  const { config, unusedVariables } = loadAgentConfig(sources);
  answer = { type: "loaded", config, unusedVariables };
} catch (error) {
  answer = { type: "failed", failure: toFailure(toStreamError(error)) };
}
parentPort.postMessage(answer, []);
