import assert from "node:assert/strict";
import { test } from "node:test";
import mqttPacket from "mqtt-packet";
import { FakeIngest } from "../../../support/fake-ingest.ts";
import { startMqtt } from "../../../support/mqtt-listener.ts";
import { connectPacket, openRaw } from "../../../support/raw-mqtt.ts";
import { tempDir } from "../../../support/temp-dir.ts";

test("the sink hears of a new session before the first message in it, and only of clean ones", async (t) => {
  const heard: string[] = [];
  const ingest = new FakeIngest();
  const sink = {
    isFull: false,
    onRoom: () => undefined,
    publish: (...[message, done]: Parameters<FakeIngest["publish"]>) => {
      heard.push(`${message.clientId} ${message.payload.toString()}`);
      done();
    },
    beginSession: (clientId: string) => heard.push(`${clientId} begins`),
  };
  const { bound } = await startMqtt(t, { directory: tempDir(t), ingest, sink });
  const publish = { cmd: "publish", topic: "a", payload: "1", qos: 1, messageId: 7, dup: true, retain: false } as const;
  for (const clean of [true, false]) {
    const raw = await openRaw(t, bound.mqtt.port);
    // A client need not wait for the CONNACK.
    const packets = [connectPacket(`clean:${clean}`, { clean }), publish];
    raw.socket.write(Buffer.concat(packets.map((packet) => mqttPacket.generate(packet))));
    assert.equal((await raw.next())?.cmd, "connack");
    assert.equal((await raw.next())?.cmd, "puback");
  }
  assert.deepEqual(heard, ["clean:true begins", "clean:true 1", "clean:false 1"]);
});
