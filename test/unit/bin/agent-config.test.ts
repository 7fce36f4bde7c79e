import assert from "node:assert/strict";
import test from "node:test";
import { loadAside, loadHere } from "../../../bin/agent-config.ts";
import { StreamError } from "../../../shared/errors.ts";

test("agent configuration: loaded aside it is the same, and cannot be changed", async () => {
  const sources = {
    flags: { name: "pump-7" },
    env: { TRIBUTARY_LOG_BYTES_MAX: "2000000", TRIBUTARY_UNKNOWN: "x" },
  };
  const here = loadHere(sources);
  const aside = await loadAside(sources);
  assert.deepEqual(aside.config, here.config);
  assert.deepEqual(aside.unusedVariables, ["TRIBUTARY_UNKNOWN"]);
  assert.throws(() => (aside.config.agent.name = "other"), TypeError);
});

test("agent configuration: mistakes come back from aside in full", async () => {
  const sources = { flags: { "log-level": "loud" }, env: { TRIBUTARY_LOG_BYTES_MAX: "few" } };
  assert.throws(
    () => loadHere(sources),
    (here: unknown) => {
      assert.ok(here instanceof StreamError);
      assert.match(here.message, /2 mistakes/);
      return true;
    },
  );
  const here = await Promise.resolve(sources)
    .then(loadHere)
    .catch((error: unknown) => error as StreamError);
  const aside = await loadAside(sources).catch((error: unknown) => error as StreamError);
  assert.ok(here instanceof StreamError && aside instanceof StreamError);
  assert.deepEqual([aside.code, aside.message, aside.hint], [here.code, here.message, here.hint]);
});
