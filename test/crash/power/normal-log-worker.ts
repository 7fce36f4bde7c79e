/**
 * The log's worker as it would be with SQLite's synchronous=NORMAL and nobody noticing: what the power cuts must find. The
 * product has no such switch, so the setting is changed on its way to SQLite.
 */
import Database from "better-sqlite3";

// Called with `this` of its own below.
// oxlint-disable-next-line typescript/unbound-method
const { pragma } = Database.prototype;
let wanted: number | undefined;

Database.prototype.pragma = function (this: Database.Database, source, options) {
  const set = /^synchronous = (\d)$/.exec(source);
  if (set !== null) wanted = Number(set[1]);
  if (source === "synchronous" && wanted !== undefined) return wanted;
  return pragma.call(this, set === null ? source : "synchronous = 1", options);
};
await import("../../support/log-worker.ts");
