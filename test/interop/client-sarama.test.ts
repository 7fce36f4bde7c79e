import { goDriver } from "../support/go-drivers.ts";
import { clientSuite } from "./features/client-suite.ts";

clientSuite("Sarama", () => goDriver("sarama"));
