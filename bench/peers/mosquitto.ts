/**
 * mosquitto at the edge and at the hub with a bridge between, persistence on at both, and no limit on its queues that
 * would make it drop what it has acknowledged. It writes its persistence file every half hour and at its end (the default
 * of autosave_interval); until then an acknowledged message is in memory only.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { TestChild } from "../../test/support/child-process.ts";
import type { After } from "../../test/support/clean-up.ts";
import { freePort } from "../../test/support/free-port.ts";
import { findPrograms, sayMissing } from "./find-program.ts";
import { openMqttReader } from "./mqtt-subscriber.ts";
import type { Contender, IngestContender } from "./pipeline.ts";
import { startPeer } from "./server.ts";

const IN_FLIGHT_MAX = 1000;

function startServer(
  t: After,
  { program, directory, ports, more }: { program: string; directory: string; ports: number[]; more: string[] },
): Promise<TestChild> {
  mkdirSync(directory, { recursive: true });
  const lines = [
    ...ports.map((port) => `listener ${port} 127.0.0.1`),
    "allow_anonymous true",
    "persistence true",
    `persistence_location ${directory}/`,
    "max_queued_messages 0",
    `max_inflight_messages ${IN_FLIGHT_MAX}`,
    "set_tcp_nodelay true",
    // Started as root, mosquitto would become another user, who cannot write here.
    ...(process.getuid?.() === 0 ? ["user root"] : []),
    ...more,
  ];
  const file = path.join(directory, "mosquitto.conf");
  writeFileSync(file, `${lines.join("\n")}\n`);
  return startPeer(t, { command: program, args: ["-c", file] }, ports);
}

function about(program: string) {
  // Without a port or a file it says its version and what it can do, and ends with 3.
  let help = "";
  try {
    help = execFileSync(program, ["-h"], { encoding: "utf8" });
  } catch (error) {
    help = String((error as { stdout?: unknown }).stdout);
  }
  const version = /version (\S+)/.exec(help)?.[1] ?? "of unknown version";
  return { name: "mosquitto", version, durability: "in memory; persistence saves every 30 min" };
}

function programs(): readonly string[] {
  const found = findPrograms("mosquitto", "BENCH_MOSQUITTO");
  if (found.length === 0) sayMissing("mosquitto", "BENCH_MOSQUITTO");
  return found;
}

export function mosquittos(): readonly Contender[] {
  return programs().map((program) => ({
    ...about(program),
    start: async (t, directory, { between } = {}) => {
      const [mqttPort, hubPort, readerPort] = [await freePort(), await freePort(), await freePort()];
      const hubParts = { program, directory: path.join(directory, "hub"), ports: [hubPort, readerPort], more: [] };
      const hub = await startServer(t, hubParts);
      const uplinkPort = (await between?.(hubPort)) ?? hubPort;
      const bridge = ["connection hub", `address 127.0.0.1:${uplinkPort}`, "topic bench/# out 1"];
      const more = [...bridge, "cleansession false", "restart_timeout 1", "notifications false"];
      const edge = await startServer(t, { program, directory: path.join(directory, "edge"), ports: [mqttPort], more });
      return {
        mqttPort,
        uplinkPort,
        edgePid: () => edge.pid,
        hubPid: () => hub.pid,
        openReader: (scope, { isTimed }) => openMqttReader(scope, { port: readerPort, filter: "bench/#", isTimed }),
      };
    },
  }));
}

export function mosquittoIngests(): readonly IngestContender[] {
  return programs().map((program) => ({
    ...about(program),
    start: async (t, directory) => {
      const mqttPort = await freePort();
      const edge = await startServer(t, {
        program,
        directory: path.join(directory, "edge"),
        ports: [mqttPort],
        more: [],
      });
      return { mqttPort, edgePid: () => edge.pid };
    },
  }));
}
