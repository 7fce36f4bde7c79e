/**
 * Apache Kafka from Maven: one broker that is its own controller, with the heap and the collector of its start script and
 * its default settings. It leaves its log to the page cache (log.flush.interval.messages is not set): replicas are its
 * durability, and one broker has none.
 */
import { execFile } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { freePort } from "../../test/support/free-port.ts";
import { kafkaTool } from "../../test/support/java.ts";
import type { Launch } from "../../test/support/java.ts";
import type { BrokerContender } from "./broker.ts";
import { startPeer } from "./server.ts";

const run = promisify(execFile);

/** As kafka-server-start.sh and kafka-run-class.sh have them. */
const SERVER_FLAGS = ["-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];
const QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error";
const CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg";

/** Without the flags for short lives that the tests start tools with. */
export async function kafkaProgram(mainClass: string, flags: readonly string[]): Promise<Launch> {
  const { command, args } = await kafkaTool(mainClass);
  return { command, args: [...flags, QUIET, ...args.slice(args.indexOf("-cp"))] };
}

async function version(): Promise<string> {
  const { args } = await kafkaTool("kafka.Kafka");
  const library = path.dirname(args[args.indexOf("-cp") + 1] ?? "");
  const jar = readdirSync(library).find((file) => file.startsWith("kafka_2.13-")) ?? "";
  return /-([\d.]+)\.jar$/.exec(jar)?.[1] ?? "of unknown version";
}

/** None where there is no JVM or no Maven; says so. */
export async function kafkas(): Promise<readonly BrokerContender[]> {
  const found = await version().catch((error: unknown) => {
    process.stderr.write(`\n!!! APACHE KAFKA IS NOT COMPARED WITH: ${String(error)}\n\n`);
    return undefined;
  });
  if (found === undefined) return [];
  const start: BrokerContender["start"] = async (t, directory) => {
    const [port, controllerPort] = [await freePort(), await freePort()];
    const file = path.join(directory, "server.properties");
    const lines = [
      "process.roles=broker,controller",
      "node.id=1",
      `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
      `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
      `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`,
      "controller.listener.names=CONTROLLER",
      `log.dirs=${path.join(directory, "logs")}`,
      "offsets.topic.replication.factor=1",
      "transaction.state.log.replication.factor=1",
      "transaction.state.log.min.isr=1",
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    const format = await kafkaProgram("kafka.tools.StorageTool", []);
    await run(format.command, [...format.args, "format", "-t", CLUSTER_ID, "-c", file]);
    const server = await kafkaProgram("kafka.Kafka", SERVER_FLAGS);
    const child = await startPeer(t, { command: server.command, args: [...server.args, file] }, [port]);
    return { address: `127.0.0.1:${port}`, pid: () => child.pid };
  };
  return [{ name: "Kafka", version: found, durability: "page cache; no fsync", start }];
}
