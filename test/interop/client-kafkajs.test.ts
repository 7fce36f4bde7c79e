import { fileURLToPath } from "node:url";
import { clientSuite } from "./features/client-suite.ts";

const driver = fileURLToPath(new URL("clients/node/kafkajs.ts", import.meta.url));

clientSuite("KafkaJS", () => Promise.resolve({ command: process.execPath, args: ["--no-warnings", driver] }));
