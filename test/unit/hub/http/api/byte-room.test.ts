import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteRoom } from "../../../../../hub/http/api/byte-room.ts";

test("what does not fit is refused until there is room; something always fits into an empty room", () => {
  const room = new ByteRoom(100);
  room.take(60);
  assert.throws(() => room.take(41), /OVERLOADED/);
  room.take(40);
  room.release(60);
  room.take(60);
  room.release(60);
  room.release(40);
  room.take(500);
  assert.throws(() => room.take(1), /OVERLOADED/);
});
