import { fileURLToPath } from "node:url";
import { clientSuite } from "./features/client-suite.ts";

const driver = fileURLToPath(new URL("clients/node/platformatic.ts", import.meta.url));

clientSuite("@platformatic/kafka", () =>
  Promise.resolve({ command: process.execPath, args: ["--no-warnings", driver] }),
);
