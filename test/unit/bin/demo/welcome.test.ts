import assert from "node:assert/strict";
import { test } from "node:test";
import type { Paint } from "../../../../bin/context.ts";
import { renderWelcome } from "../../../../bin/demo/welcome.ts";

const same = (text: string): string => text;
const paint: Paint = { strong: same, faint: same, good: same, warning: same, bad: same };
const addresses = { http: "127.0.0.1:7070", kafka: "127.0.0.1:9092", mqtt: "127.0.0.1:1883", admin: "127.0.0.1:7071" };

test("at the usual ports the commands need no address", () => {
  const text = renderWelcome({ addresses, data: "data", env: {}, paint });
  assert.match(text, /^ {2}tributary consume climate --from latest {2,}follow a topic$/m);
  assert.match(text, /kcat -b 127\.0\.0\.1:9092/);
  assert.match(text, /mosquitto_pub -h 127\.0\.0\.1 -p 1883/);
});

test("at other ports the commands name them", () => {
  const moved = { ...addresses, kafka: "127.0.0.1:40001", mqtt: "127.0.0.1:40002" };
  const text = renderWelcome({ addresses: moved, data: "data", env: {}, paint });
  assert.match(text, /tributary topics list --kafka 127\.0\.0\.1:40001/);
  assert.match(text, /mosquitto_pub -h 127\.0\.0\.1 -p 40002/);
});

test("started by npm, the commands begin with npx", () => {
  const text = renderWelcome({ addresses, data: "data", env: { npm_execpath: "/usr/bin/npm" }, paint });
  assert.match(text, /^ {2}npx tributary topics list/m);
});
