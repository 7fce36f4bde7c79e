/** A hub by itself, as Kafka clients see it: ours, or a real Kafka. */
import type { After } from "../../test/support/clean-up.ts";

export type Broker = { readonly address: string; readonly pid: () => number };

export type BrokerContender = {
  readonly name: string;
  readonly version: string;
  readonly durability: string;
  readonly start: (t: After, directory: string) => Promise<Broker>;
};
