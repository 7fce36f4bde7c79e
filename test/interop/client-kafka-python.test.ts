import { pythonDriver } from "../support/python-drivers.ts";
import { clientSuite } from "./features/client-suite.ts";

clientSuite("kafka-python", () => pythonDriver("kafka-python"));
