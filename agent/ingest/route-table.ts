/**
 * What is known about an MQTT topic after its first message, so that every further one costs a single look-up: where it
 * goes, its key in bytes with the key's hash, and the record headers in bytes for each QoS and retain flag.
 *
 * Bounds: ROUTE_CACHE_TOPICS_MAX topics and ROUTE_CACHE_BYTES_MAX bytes of keys and headers. A full table is emptied and
 * fills again with the topics that are in use; that costs one resolution per topic and forgets nothing of importance.
 */
import type { EncodedHeaders } from "../../shared/batch/batch-builder.ts";
import { encodeHeaders } from "../../shared/batch/batch-builder.ts";
import { crc32c } from "../../shared/batch/crc32c.ts";
import { positiveHash } from "../../shared/batch/partitioner.ts";
import type { Destination, Route } from "./route.ts";
import { originHeaders, resolveRoute } from "./route.ts";

export const ROUTE_CACHE_TOPICS_MAX = 10_000;
const ROUTE_CACHE_BYTES_MAX = 8 * 1024 * 1024;

export type Qos = 0 | 1 | 2;

/** Three QoS levels, each with and without retain. */
const HEADER_VARIANT_COUNT = 6;

export class RoutedTopic<Target> {
  readonly destination: Destination;
  readonly target: Target;
  readonly keyBytes: Buffer | null;
  /** Of the key, to be taken modulo the partition count; undefined without a key. */
  readonly keyHash: number | undefined;
  readonly topicDigest: number;
  readonly #topic: Buffer;
  readonly #headers: (EncodedHeaders | undefined)[] = Array.from({ length: HEADER_VARIANT_COUNT });

  constructor(mqttTopic: string, destination: Destination, target: Target) {
    this.destination = destination;
    this.target = target;
    this.#topic = Buffer.from(mqttTopic, "utf8");
    this.topicDigest = crc32c(this.#topic);
    this.keyBytes = destination.key === undefined ? null : Buffer.from(destination.key, "utf8");
    this.keyHash = this.keyBytes === null ? undefined : positiveHash(this.keyBytes);
  }

  /** What it may come to hold. */
  get bytesMax(): number {
    const headerBytes = this.destination.headers.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
    return (
      this.#topic.length + (this.keyBytes?.length ?? 0) + HEADER_VARIANT_COUNT * (this.#topic.length + headerBytes)
    );
  }

  /** The route's headers and where the message came from: `mqtt.qos` is "0" to "2", `mqtt.retain` "true" or "false". */
  headers(qos: Qos, retain: boolean): EncodedHeaders {
    const variant = qos * 2 + (retain ? 1 : 0);
    const known = this.#headers[variant];
    if (known !== undefined) return known;
    const encoded = encodeHeaders([
      { key: originHeaders.topic, value: this.#topic },
      { key: originHeaders.qos, value: Buffer.from(String(qos)) },
      { key: originHeaders.retain, value: Buffer.from(String(retain)) },
      ...this.destination.headers.map(({ name, value }) => ({ key: name, value: Buffer.from(value, "utf8") })),
    ]);
    this.#headers[variant] = encoded;
    return encoded;
  }
}

export class RouteTable<Target> {
  readonly #routes: readonly Route[];
  readonly #targetOf: (destination: Destination) => Target;
  readonly #topics = new Map<string, RoutedTopic<Target>>();
  #bytes = 0;

  /** `targetOf` finds what a destination stands for in the caller's world: its open partitions. */
  constructor(routes: readonly Route[], targetOf: (destination: Destination) => Target) {
    this.#routes = routes;
    this.#targetOf = targetOf;
  }

  get size(): number {
    return this.#topics.size;
  }

  lookup(mqttTopic: string): RoutedTopic<Target> {
    return this.#topics.get(mqttTopic) ?? this.#resolve(mqttTopic);
  }

  #resolve(mqttTopic: string): RoutedTopic<Target> {
    const destination = resolveRoute(this.#routes, mqttTopic);
    const routed = new RoutedTopic(mqttTopic, destination, this.#targetOf(destination));
    const bytes = routed.bytesMax;
    if (this.#topics.size >= ROUTE_CACHE_TOPICS_MAX || this.#bytes + bytes > ROUTE_CACHE_BYTES_MAX) {
      this.#topics.clear();
      this.#bytes = 0;
    }
    this.#topics.set(mqttTopic, routed);
    this.#bytes += bytes;
    return routed;
  }
}
