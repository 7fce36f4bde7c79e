import { StreamError } from "../../shared/errors.ts";

const TOPIC_NAME = /^[A-Za-z0-9._-]{1,249}$/;

/** Kafka's rule for topic names. @throws StreamError INVALID_TOPIC. */
export function checkTopicName(name: string): void {
  if (!TOPIC_NAME.test(name) || name === "." || name === "..") {
    throw new StreamError("INVALID_TOPIC", `${JSON.stringify(name.slice(0, 300))} cannot be a topic name`);
  }
}
