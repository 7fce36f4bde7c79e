import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { Complaints } from "../../../../hub/kafka/complaints.ts";
import { StreamError } from "../../../../shared/errors.ts";

test("the same complaint is written once in ten seconds, with the number of those that were left out", () => {
  const lines: Record<string, unknown>[] = [];
  const logger = pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  let nowMs = 0;
  const complaints = new Complaints({ wallMs: () => 0, monotonicMs: () => nowMs }, logger);
  const failed = new StreamError("SASL_AUTHENTICATION_FAILED", "user name or password is wrong");
  for (let count = 0; count < 100; count++)
    complaints.write("192.0.2.1", failed, { user: '"alice"', mechanism: "PLAIN" });
  complaints.write("192.0.2.1", new StreamError("OVERLOADED", "connectionsMax"));
  nowMs = 10_000;
  complaints.write("192.0.2.2", failed);
  assert.deepEqual(
    lines.map(({ client, code, user, suppressed }) => [client, code, user, suppressed]),
    [
      ["192.0.2.1", "SASL_AUTHENTICATION_FAILED", '"alice"', 0],
      ["192.0.2.1", "OVERLOADED", undefined, 0],
      ["192.0.2.2", "SASL_AUTHENTICATION_FAILED", undefined, 99],
    ],
  );
});
