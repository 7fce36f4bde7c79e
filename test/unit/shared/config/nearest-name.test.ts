import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { nearestName } from "../../../../shared/config/nearest-name.ts";

const names = ["listen", "insecure", "limits", "commitIntervalMs"];

suite("nearest name", () => {
  test("a letter too many, too few, wrong or swapped is recognised, whatever the case", () => {
    for (const wrong of ["listenn", "lisen", "lizten", "lsiten", "LISTEN"]) {
      assert.equal(nearestName(wrong, names), "listen", wrong);
    }
    assert.equal(nearestName("commitIntervallMs", names), "commitIntervalMs");
  });

  test("the nearest of several wins", () => {
    assert.equal(nearestName("limit", ["listen", "limits"]), "limits");
  });

  test("what resembles nothing gets no suggestion", () => {
    assert.equal(nearestName("temperature", names), undefined);
    assert.equal(nearestName("x", ["a", "b", "yz"]), "a");
    assert.equal(nearestName("", names), undefined);
  });
});
