import assert from "node:assert/strict";
import { test } from "node:test";
import { LiveStreams } from "../../../../../hub/http/live/live-streams.ts";

test("so many at a time; one that ends makes room", () => {
  const streams = new LiveStreams(2);
  const first = streams.begin();
  streams.begin();
  assert.throws(() => streams.begin(), /OVERLOADED: 2 live streams are open/);
  first.end();
  assert.equal(first.closed.aborted, true);
  streams.begin();
  assert.equal(streams.count, 2);
});

test("all of them end with the hub, and none begins any more", () => {
  const streams = new LiveStreams();
  const { closed } = streams.begin();
  streams.close();
  assert.equal(closed.aborted, true);
  assert.throws(() => streams.begin(), /CLOSING/);
});
