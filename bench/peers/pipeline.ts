/** What the benchmarks ask of a way from MQTT clients at the edge to readers at the hub: ours, and those of the peers. */
import type { After } from "../../test/support/clean-up.ts";
import type { Latencies } from "../measure/latencies.ts";

export type Reader = {
  /** Messages so far. */
  readonly count: () => number;
  /** Of those, the reader may hold back so many. */
  readonly heldBackMax: number;
  /** Empty unless asked for. */
  readonly latencies: Latencies;
  readonly close: () => Promise<void>;
};

export type ReaderOptions = { readonly payloadBytes: number; readonly isTimed: boolean };

export type Pipeline = {
  readonly mqttPort: number;
  /** Of the hub, where the edge connects. */
  readonly uplinkPort: number;
  readonly edgePid: () => number;
  readonly hubPid: () => number;
  /** A durable reader, as a consumer group is one; it has its place when this returns. */
  readonly openReader: (t: After, options: ReaderOptions) => Promise<Reader>;
};

export type Contender = {
  readonly name: string;
  readonly version: string;
  /** What a PUBACK promises with the settings used here. */
  readonly durability: string;
  readonly start: (t: After, directory: string, options?: StartOptions) => Promise<Pipeline>;
};

/** `between`: told the hub's port, starts what the edge connects to instead, and returns the port of that. */
export type StartOptions = { readonly between?: (hubPort: number) => Promise<number> };

/** An edge by itself. */
export type Ingest = { readonly mqttPort: number; readonly edgePid: () => number };

export type IngestContender = Omit<Contender, "start"> & {
  readonly start: (t: After, directory: string) => Promise<Ingest>;
};
