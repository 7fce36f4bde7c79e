import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { GroupPlay, JoinFields } from "./group-play.ts";

/** Each row is a cell of the JoinGroup table: a group, a join, the answer ("parked" if none yet), the phase after it. */
export type JoinRow = {
  readonly row: string;
  readonly given: () => GroupPlay;
  readonly join: JoinFields & { readonly as?: string };
  readonly answer: string;
  readonly phase: string;
  readonly also?: (play: GroupPlay, answer: ReturnType<GroupPlay["joined"]> | undefined) => void;
};

export function testJoins(title: string, rows: readonly JoinRow[]): void {
  suite(title, () => {
    for (const { row, given, join, answer, phase, also } of rows) {
      test(`${row} -> ${answer}, ${phase}`, () => {
        const play = given();
        const { as = "new", ...fields } = join;
        const to = play.join(as, fields);
        assert.equal(play.outcome(to), answer);
        assert.equal(play.state.phase, phase);
        also?.(play, answer === "parked" ? undefined : play.joined(to));
      });
    }
  });
}
