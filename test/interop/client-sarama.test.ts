import { goDriver } from "../support/go-drivers.ts";
import { clientSuite } from "./features/client-suite.ts";

clientSuite("Sarama", () => goDriver("sarama"));

// As Telegraf does by default: Sarama then sends the versions of that time without asking what the hub serves.
clientSuite("Sarama told Kafka 1.0.0", async () => ({
  ...(await goDriver("sarama")),
  constants: { clientVersion: "1.0.0" },
}));
