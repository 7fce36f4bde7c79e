/** The part of aedes-persistence's in-memory implementation that the agent uses; the package types only another form. */
declare module "aedes-persistence/asyncPersistence.js" {
  import type { Readable } from "node:stream";

  export type StoredSubscription = { readonly topic: string; readonly qos: 0 | 1 | 2 };

  export default class MemoryPersistence {
    storeRetained(packet: { readonly topic: string; readonly payload: Buffer | string }): Promise<void>;
    createRetainedStreamCombi(patterns: readonly string[]): Readable;
    addSubscriptions(client: { readonly id: string }, subscriptions: readonly StoredSubscription[]): Promise<void>;
    removeSubscriptions(client: { readonly id: string }, topics: readonly string[]): Promise<void>;
    cleanSubscriptions(client: { readonly id: string }): Promise<void>;
    subscriptionsByClient(client: { readonly id: string }): Promise<StoredSubscription[]>;
    subscriptionsByTopic(topic: string): Promise<(StoredSubscription & { readonly clientId: string })[]>;
    countOffline(): Promise<{ subsCount: number; clientsCount: number }>;
    getClientList(topic: string): Readable;
  }
}
