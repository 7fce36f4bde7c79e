/** aedes, the MQTT library below the agent, bare: it stores nothing and has no subscriber, so it is the upper end. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { TestChild } from "../../test/support/child-process.ts";
import type { IngestContender } from "./pipeline.ts";

const PACKAGE = new URL("../../node_modules/aedes/package.json", import.meta.url);
const PROGRAM = fileURLToPath(new URL("aedes-program.ts", import.meta.url));

export function bareAedes(): IngestContender {
  const { version } = JSON.parse(readFileSync(PACKAGE, "utf8")) as { readonly version: string };
  return {
    name: "aedes, bare",
    version,
    durability: "none: nothing is stored",
    start: async (t) => {
      const port = Promise.withResolvers<number>();
      const onLine = (line: string): void => port.resolve(Number(line));
      const child = await TestChild.start(t, { command: process.execPath, args: [PROGRAM], onLine });
      const ended = child.exited.then(() => Promise.reject(new Error(`aedes ended: ${child.describe()}`)));
      const mqttPort = await Promise.race([port.promise, ended]);
      // From here on its end is the clean-up's.
      ended.catch(() => undefined);
      return { mqttPort, edgePid: () => child.pid };
    },
  };
}
