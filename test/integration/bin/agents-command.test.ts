/** `tributary agents`: the books of an agent whose log overflowed while the hub was away, seen from the hub. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { connectAsync } from "mqtt";
import { onCleanUp } from "../../support/clean-up.ts";
import { freePort } from "../../support/free-port.ts";
import { runCommand, startCommand } from "../../support/run-command.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { waitUntil } from "../../support/wait-until.ts";

const MESSAGES = 400;
const PAYLOAD_BYTES = 8000;
const CONFIG = `
log: { bytesMax: 1000000 }
mqtt: { listen: "127.0.0.1:0" }
admin: { listen: "127.0.0.1:0" }
uplink: { retryMinMs: 50, retryMaxMs: 100, statusIntervalMs: 1000 }
agent: { name: gateway-7 }
routes:
  - { match: "old/#", topic: pushed-out, overflow: drop-oldest, partitions: 1 }
  - { match: "new/#", topic: turned-away, overflow: drop-newest, partitions: 2 }
`;

type Agent = {
  readonly agent: string;
  readonly isConnected: boolean;
  readonly declaredLost: Readonly<Record<string, number>>;
  readonly status: Readonly<Record<string, number>> | null;
};

test("agents: after an overflow the books of agent and hub agree, and the ledger tells what was lost", async (t) => {
  const directory = tempDir(t);
  const http = `127.0.0.1:${await freePort()}`;
  const config = path.join(directory, "agent.yaml");
  writeFileSync(config, CONFIG);
  const args = ["agent", "--config", config, "--data", path.join(directory, "agent"), "--hub", `ws://${http}`];
  const agent = startCommand(t, [...args, "--log-level", "silent"]);
  const [line] = await agent.saw(/^\{.*\}\n/);
  const { mqtt } = JSON.parse(line) as { mqtt: string };
  const client = await connectAsync(`mqtt://${mqtt}`);
  onCleanUp(t, () => client.endAsync());
  for (let n = 0; n < MESSAGES; n++) {
    await client.publishAsync(`${n % 2 === 0 ? "old" : "new"}/x`, randomBytes(PAYLOAD_BYTES), { qos: 1 });
  }
  const listen = ["--http", http, "--kafka", "127.0.0.1:0", "--log-level", "silent"];
  const hub = startCommand(t, ["hub", "--data", path.join(directory, "hub"), ...listen]);
  const [ready] = await hub.saw(/^\{.*\}\n/);
  const { kafka } = JSON.parse(ready) as { kafka: string };
  const settled = async (): Promise<Agent | undefined> => {
    const { out } = await runCommand(["agents", "list", "--hub", http, "--json"]);
    const [found] = JSON.parse(out) as Agent[];
    return found?.isConnected === true && found.status?.["pending"] === 0 ? found : undefined;
  };
  const view = await waitUntil(settled, { what: "the agent to have delivered everything", deadlineMs: 30_000 });
  const { accepted = 0, delivered = 0, dropped = 0, unreconciledPartitions } = view.status ?? {};
  assert.equal(accepted, MESSAGES);
  assert.ok(dropped > 0 && delivered > 0);
  assert.equal(delivered + dropped, MESSAGES);
  assert.equal(unreconciledPartitions, 0);
  assert.deepEqual(view.declaredLost, { overflow: dropped });

  const list = await runCommand(["agents", "list", "--hub", http]);
  assert.match(
    list.out,
    /^AGENT +STATE +SINCE +ACCEPTED +DELIVERED +PENDING +HISTORY +LOST +RUNWAY +BOOKS\ngateway-7 +connected /,
  );
  assert.match(list.out, new RegExp(` ${MESSAGES} +${delivered} +0 +0 +${dropped} .* agree\n$`));
  const { out: losses } = await runCommand(["agents", "losses", "--hub", http, "--agent", "gateway-7"]);
  assert.match(losses, /^gateway-7 +pushed-out +0 +\d+-\d+ +\d+ +overflow +2\S+Z +2\S+Z$/m);
  assert.match(losses, /^gateway-7 +turned-away +[01] +before \d+ +\d+ +overflow /m);
  assert.match((await runCommand(["agents", "losses", "--hub", http, "--agent", "x"])).out, /^No losses were declared/);
  const { out: topics } = await runCommand(["topics", "list", "--kafka", kafka]);
  const stored = [...topics.matchAll(/(\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  assert.equal(stored, delivered);
});

test("agents: no hub there ends with 69, and says which port it has to be", async () => {
  const { exitCode, err } = await runCommand(["agents", "list", "--hub", `127.0.0.1:${await freePort()}`]);
  assert.equal(exitCode, 69);
  assert.match(err, /^error: HUB_UNREACHABLE: no hub at http:\/\/127\.0\.0\.1:\d+: ECONNREFUSED\nhint: .*7070 is HTTP/);
});
