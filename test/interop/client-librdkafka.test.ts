import { pythonDriver } from "../support/python-drivers.ts";
import { clientSuite } from "./features/client-suite.ts";

clientSuite("librdkafka", () => pythonDriver("librdkafka"));
