import assert from "node:assert/strict";
import { test } from "node:test";
import { DAMAGE_REPORTS_MAX, DamageReports } from "../../../../shared/log/damage-reports.ts";

test("damage: each batch is told of once, and no more than so many", () => {
  const reports = new DamageReports();
  assert.deepEqual([reports.isNews(1, 5), reports.isNews(1, 5), reports.isNews(2, 5)], [true, false, true]);
  for (let offset = 10; offset < DAMAGE_REPORTS_MAX + 8; offset++) assert.equal(reports.isNews(1, offset), true);
  assert.equal(reports.isNews(1, 1_000_000), false);
});
