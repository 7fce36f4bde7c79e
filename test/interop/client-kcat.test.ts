import { fileURLToPath } from "node:url";
import { clientSuite } from "./features/client-suite.ts";

const driver = fileURLToPath(new URL("clients/kcat/kcat.ts", import.meta.url));

clientSuite("kcat", () => Promise.resolve({ command: process.execPath, args: ["--no-warnings", driver] }));
