/**
 * Loads the agent's configuration in a thread that ends with it. What checks it (zod, yaml, a schema of some hundred
 * objects) takes 8 MB, is needed once, and could not be unloaded from the thread of the agent itself.
 */
import { once } from "node:events";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { AgentConfig } from "../agent/config.ts";
import type * as agentConfig from "../agent/config.ts";
import type { ConfigSources, LoadedConfig } from "../shared/config/load-config.ts";
import { deepFreeze } from "../shared/deep-freeze.ts";
import { fromFailure } from "../shared/thread-failure.ts";
import type { ThreadFailure } from "../shared/thread-failure.ts";
import { workerFile } from "../shared/worker-file.ts";

export type ConfigQuestion = { readonly sources: ConfigSources };
export type ConfigAnswer =
  | ({ readonly type: "loaded" } & Pick<LoadedConfig<AgentConfig>, "config" | "unusedVariables">)
  | { readonly type: "failed"; readonly failure: ThreadFailure };

/** @throws StreamError CONFIG_INVALID or LISTENER_NOT_PROTECTED, with every mistake in its message. */
export async function loadAside(
  sources: ConfigSources,
): Promise<Pick<LoadedConfig<AgentConfig>, "config" | "unusedVariables">> {
  const workerData: ConfigQuestion = { sources };
  const worker = new Worker(workerFile(import.meta.url, "./agent-config-worker"), {
    workerData,
    name: "configuration",
  });
  const [answer] = (await once(worker, "message")) as [ConfigAnswer];
  // Its memory is free before the log asks for some.
  await worker.terminate();
  if (answer.type === "failed") throw fromFailure(answer.failure);
  return deepFreeze(answer);
}

/** In the thread that asks: for the help, which shows the defaults. */
export function loadHere(sources: ConfigSources): LoadedConfig<AgentConfig> {
  const module = fileURLToPath(workerFile(import.meta.url, "../agent/config"));
  const { loadAgentConfig } = createRequire(import.meta.url)(module) as typeof agentConfig;
  return loadAgentConfig(sources);
}
