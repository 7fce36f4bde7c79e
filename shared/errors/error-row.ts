/**
 * `retriable`: the same request may succeed later, unchanged.
 * `wire`: Kafka's error code (org.apache.kafka.common.protocol.Errors), for answers over the Kafka protocol.
 * `meaning` and `hint` are what an operator reads; docs/errors.md is generated from them (`npm run docs`).
 */
export type ErrorRow = {
  readonly retriable: boolean;
  readonly wire: number;
  readonly meaning: string;
  readonly hint: string;
};
