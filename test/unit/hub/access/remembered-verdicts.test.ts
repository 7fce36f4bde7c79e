import assert from "node:assert/strict";
import { test } from "node:test";
import {
  RememberedVerdicts,
  VERDICT_NAME_LENGTH_MAX,
  VERDICTS_MAX,
} from "../../../../hub/access/remembered-verdicts.ts";

function counting() {
  const asked: string[] = [];
  const verdicts = new RememberedVerdicts((name) => {
    asked.push(name);
    return name.startsWith("yes") ? 1 : 0;
  });
  return { asked, verdicts };
}

test("a verdict is worked out once, a refusal too", () => {
  const { asked, verdicts } = counting();
  for (let i = 0; i < 3; i++) assert.deepEqual([verdicts.of("yes"), verdicts.of("no")], [1, 0]);
  assert.deepEqual(asked, ["yes", "no"]);
});

test("with one name more than the maximum all are forgotten, and verdicts stay right", () => {
  const { asked, verdicts } = counting();
  for (let i = 0; i < VERDICTS_MAX; i++) verdicts.of(`yes-${i}`);
  verdicts.of("yes-0");
  assert.equal(asked.length, VERDICTS_MAX, "all of them are remembered");
  assert.equal(verdicts.of("no"), 0);
  assert.equal(verdicts.of("yes-0"), 1);
  assert.equal(asked.length, VERDICTS_MAX + 2, "the first had been forgotten");
});

test("a name longer than the maximum is not kept", () => {
  const { asked, verdicts } = counting();
  const longest = "y".repeat(VERDICT_NAME_LENGTH_MAX);
  for (let i = 0; i < 2; i++) {
    verdicts.of(longest);
    verdicts.of(`${longest}y`);
  }
  assert.deepEqual(
    asked.map((name) => name.length),
    [249, 250, 250],
  );
});
