import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { InFlight } from "../../support/in-flight.ts";
import { PublishHistory } from "../../support/publish-history.ts";
import type { Qos } from "../../support/publish-history.ts";

const SENT_AT_US = 1_732_320_000_123_456;

function session(qos: Qos) {
  const history = new PublishHistory("c1", qos);
  return { history, inFlight: new InFlight(history) };
}

suite("in flight", () => {
  test("QoS 1: PUBACK acknowledges and frees the place", () => {
    const { history, inFlight } = session(1);
    const { packetId, sequence } = inFlight.publish(SENT_AT_US);
    assert.deepEqual([packetId, sequence, inFlight.size], [1, 0, 1]);
    inFlight.puback(packetId);
    assert.deepEqual([inFlight.size, history.isAcked(0)], [0, true]);
  });

  test("QoS 2: PUBREC acknowledges, PUBCOMP frees the place", () => {
    const { history, inFlight } = session(2);
    const { packetId } = inFlight.publish(SENT_AT_US);
    inFlight.pubrec(packetId);
    assert.deepEqual([inFlight.size, history.isAcked(0)], [1, true]);
    inFlight.pubrec(packetId);
    inFlight.pubcomp(packetId);
    assert.equal(inFlight.size, 0);
  });

  test("a new connection: again in order, PUBLISH as a repetition, PUBREL for what has its PUBREC", () => {
    const { history, inFlight } = session(2);
    for (const sentAtUs of [100, 200, 300]) inFlight.publish(sentAtUs);
    inFlight.pubrec(2);
    assert.deepEqual(inFlight.resume(), [
      { packetId: 1, sequence: 0, sentAtUs: 100, phase: "published" },
      { packetId: 2, sequence: 1, sentAtUs: 200, phase: "released" },
      { packetId: 3, sequence: 2, sentAtUs: 300, phase: "published" },
    ]);
    assert.deepEqual([history.resends(0), history.resends(1), history.resends(2)], [1, 0, 1]);
  });

  test("packet identifiers go round from 65535 to 1 and pass over those in use", () => {
    const { inFlight } = session(1);
    const first = inFlight.publish(SENT_AT_US).packetId;
    for (let packetId = 2; packetId <= 65_535; packetId++) inFlight.puback(inFlight.publish(SENT_AT_US).packetId);
    assert.equal(first, 1);
    assert.equal(inFlight.publish(SENT_AT_US).packetId, 2);
  });

  test("an acknowledgement that nothing waits for: an error, for it would be the agent's mistake", () => {
    const { inFlight } = session(1);
    inFlight.publish(SENT_AT_US);
    assert.throws(() => inFlight.puback(2), /PUBACK of 2, which it does not wait for/);
    assert.throws(() => inFlight.pubrec(1), /PUBREC of 1/);
    const exact = session(2).inFlight;
    exact.publish(SENT_AT_US);
    assert.throws(() => exact.pubcomp(1), /before its PUBREC/);
  });
});
