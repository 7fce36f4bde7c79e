import assert from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { suite, test } from "node:test";
import { DiskReserve } from "../../../../shared/log/disk-reserve.ts";
import { tempDir } from "../../../support/temp-dir.ts";

const BYTES = 2_500_000;
const APPEND_ROOM_BYTES = 1024 * 1024;

const sizeIn = (directory: string): number | undefined =>
  statSync(path.join(directory, "log.reserve"), { throwIfNoEntry: false })?.size;

suite("disk reserve", () => {
  test("takes its room, gives it back, and takes it again", (t) => {
    const directory = tempDir(t);
    const reserve = new DiskReserve(directory, BYTES);
    assert.equal(reserve.isHeld, false);
    assert.equal(reserve.restore(), true);
    assert.deepEqual([reserve.isHeld, sizeIn(directory)], [true, BYTES]);
    assert.ok(statSync(path.join(directory, "log.reserve")).blocks * 512 >= BYTES, "it is not a sparse file");
    reserve.release();
    assert.deepEqual([reserve.isHeld, sizeIn(directory)], [false, undefined]);
    assert.equal(reserve.restore(), true);
  });

  test("is still held when the program starts again; one that is not whole is made anew", (t) => {
    const directory = tempDir(t);
    new DiskReserve(directory, BYTES).restore();
    assert.equal(new DiskReserve(directory, BYTES).isHeld, true);
    writeFileSync(path.join(directory, "log.reserve"), "a part");
    const reserve = new DiskReserve(directory, BYTES);
    assert.equal(reserve.isHeld, false);
    assert.equal(reserve.restore(), true);
    assert.equal(sizeIn(directory), BYTES);
  });

  test("is not taken unless there is room for appends besides", (t) => {
    const directory = tempDir(t);
    let freeBytes = BYTES + APPEND_ROOM_BYTES - 1;
    const reserve = new DiskReserve(directory, BYTES, () => freeBytes);
    assert.equal(reserve.restore(), false);
    assert.equal(sizeIn(directory), undefined);
    freeBytes++;
    assert.equal(reserve.restore(), true);
  });

  test("makes way when the disk has not even the room to open the log", (t) => {
    const directory = tempDir(t);
    let freeBytes = Infinity;
    const reserve = new DiskReserve(directory, BYTES, () => freeBytes);
    reserve.restore();
    freeBytes = 1024 * 1024;
    reserve.makeWay();
    assert.equal(reserve.isHeld, true);
    freeBytes--;
    reserve.makeWay();
    assert.deepEqual([reserve.isHeld, sizeIn(directory)], [false, undefined]);
  });

  test("an error that is no lack of room is LOG_IO", (t) => {
    const reserve = new DiskReserve(path.join(tempDir(t), "gone"), BYTES, () => Infinity);
    assert.throws(() => reserve.restore(), { code: "LOG_IO" });
  });
});
