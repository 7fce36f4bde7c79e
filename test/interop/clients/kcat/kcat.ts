/** kcat, Debian's, with the librdkafka of 2023: a driver around a program that is one itself. */
import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import type { Codec, Connection } from "../../../support/client-driver.ts";
import { recordsOf, serveDriver, tell } from "../node/protocol.ts";

const run = promisify(execFile);
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

type KcatRecord = {
  readonly partition: number;
  readonly offset: number;
  readonly ts: number;
  readonly key: string | null;
  readonly payload: string | null;
  readonly headers?: readonly string[];
};

function connectionArgs({ bootstrap, sasl, tls }: Connection): string[] {
  const protocol = `${sasl === undefined ? "" : "sasl_"}${tls === undefined ? "plaintext" : "ssl"}`;
  const settings = [`security.protocol=${protocol}`];
  if (sasl !== undefined) {
    settings.push(
      `sasl.mechanisms=${sasl.mechanism}`,
      `sasl.username=${sasl.username}`,
      `sasl.password=${sasl.password}`,
    );
  }
  if (tls !== undefined) settings.push(`ssl.ca.location=${tls.caFile}`);
  return ["-b", bootstrap, "-m", "30", ...settings.flatMap((each) => ["-X", each])];
}

async function records(args: readonly string[]): Promise<readonly KcatRecord[]> {
  const { stdout } = await run("kcat", [...args, "-q", "-J"], { maxBuffer: OUTPUT_BYTES_MAX });
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as KcatRecord);
}

async function version(): Promise<string> {
  const { stdout } = await run("kcat", ["-V"]);
  const found = /Version (\S+) .*librdkafka (\S+)/.exec(stdout);
  return `${found?.[1]} (librdkafka ${found?.[2]})`;
}

async function partitionCount(connection: Connection, topic: string): Promise<number> {
  const { stdout } = await run("kcat", [...connectionArgs(connection), "-L", "-J", "-t", topic]);
  const { topics } = JSON.parse(stdout) as { topics: readonly { partitions: readonly unknown[] }[] };
  return topics[0]?.partitions.length ?? 0;
}

const codecsOf: readonly Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];

await serveDriver({
  about: async () => ({
    client: "kcat",
    version: await version(),
    codecs: codecsOf,
    mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
    without: {
      admin: "no admin commands",
      "record-headers": "one set of headers for all records of a run",
      "next-generation-group": "librdkafka 2.0.2 speaks the classic protocol only",
    },
  }),
  produce: async ({ topic, codec, acks, idempotent, perRequest, backoffMs, partition, ...args }) => {
    const settings = [
      `acks=${acks}`,
      `enable.idempotence=${idempotent}`,
      `compression.codec=${codec}`,
      "message.timeout.ms=60000",
      ...(perRequest === undefined ? [] : [`batch.num.messages=${perRequest}`]),
      ...(backoffMs === undefined
        ? []
        : [
            `reconnect.backoff.ms=${backoffMs}`,
            `reconnect.backoff.max.ms=${backoffMs}`,
            `retry.backoff.ms=${backoffMs}`,
          ]),
    ];
    const target = ["-P", "-t", topic, "-K", "\t", "-E", ...(partition === undefined ? [] : ["-p", String(partition)])];
    const child = spawn("kcat", [...connectionArgs(args), ...settings.flatMap((each) => ["-X", each]), ...target], {
      stdio: ["pipe", "inherit", "pipe"],
    });
    let complaints = "";
    child.stderr.on("data", (chunk: Buffer) => (complaints += chunk.toString()));
    const sent = recordsOf(args);
    child.stdin.end(sent.map(({ key, value }) => `${key}\t${value}\n`).join(""));
    const code = await new Promise((resolve) => child.once("close", resolve));
    process.stderr.write(complaints);
    if (code !== 0) throw new Error(`kcat ended with ${String(code)}: ${complaints}`);
    // It waits for all deliveries, and counts the failed ones on stderr.
    const failed = complaints.match(/Delivery failed/g)?.length ?? 0;
    tell({ delivered: sent.length - failed });
  },
  consume: async ({ topic, count, ...connection }) => {
    const all = await records([
      ...connectionArgs(connection),
      "-C",
      "-t",
      topic,
      "-o",
      "beginning",
      "-c",
      String(count),
    ]);
    for (const { partition, offset, ts, key, payload, headers = [] } of all) {
      const pairs = Array.from({ length: headers.length / 2 }, (_, i) => [headers[2 * i], headers[2 * i + 1]]);
      tell({ partition, offset, timestamp: ts, key, value: payload, headers: Object.fromEntries(pairs) });
    }
  },
  "seek-timestamp": async ({ topic, timestamp, ...connection }) => {
    const count = await partitionCount(connection, topic);
    const queries = Array.from({ length: count }, (_, i) => ["-t", `${topic}:${i}:${timestamp}`]).flat();
    const { stdout } = await run("kcat", [...connectionArgs(connection), "-Q", ...queries]);
    const sought = new Map(
      Array.from(stdout.matchAll(/\[(\d+)\] offset (-?\d+)/g), ([, partition, offset]) => [
        Number(partition),
        Number(offset),
      ]),
    );
    const read = await records([...connectionArgs(connection), "-C", "-t", topic, "-o", `s@${timestamp}`, "-e"]);
    for (const [partition, offset] of sought) {
      const first = read.find((each) => each.partition === partition);
      tell({
        partition,
        offset: offset < 0 ? null : offset,
        first: first === undefined ? null : { offset: first.offset, timestamp: first.ts },
      });
    }
  },
  member: async ({ group, topic, instanceId, sessionTimeoutMs = 10_000, ...connection }, stopped) => {
    const settings = [
      "auto.offset.reset=earliest",
      // It cannot commit by hand.
      "auto.commit.interval.ms=100",
      `session.timeout.ms=${sessionTimeoutMs}`,
      `heartbeat.interval.ms=${Math.floor(sessionTimeoutMs / 10)}`,
      ...(instanceId === undefined ? [] : [`group.instance.id=${instanceId}`]),
    ];
    const args = [
      ...connectionArgs(connection),
      ...settings.flatMap((each) => ["-X", each]),
      "-E",
      "-u",
      "-J",
      "-G",
      group,
      topic,
    ];
    // A driver that is killed takes its kcat with it.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "kcat", ...args], { stdio: ["ignore", "pipe", "pipe"] });
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (!line.startsWith("{")) return;
      const { partition, offset, payload } = JSON.parse(line) as KcatRecord;
      tell({ record: [partition, offset, payload ?? ""] });
    });
    createInterface({ input: child.stderr }).on("line", (line) => {
      process.stderr.write(`${line}\n`);
      if (/rebalanced .*: assigned:/.test(line)) {
        tell({ assigned: Array.from(line.matchAll(/\[(\d+)\]/g), ([, partition]) => Number(partition)) });
      } else if (/rebalanced .*: revoked:/.test(line)) {
        tell({ assigned: [] });
      }
    });
    void stopped.then(() => child.kill("SIGTERM"));
    const code = await new Promise((resolve) => child.once("close", resolve));
    if (code !== 0) throw new Error(`kcat ended with ${String(code)}`);
    tell({ left: true });
  },
  admin: () => Promise.reject(new Error("kcat has no admin commands")),
});
