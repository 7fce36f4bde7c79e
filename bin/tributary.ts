#!/usr/bin/env node
/** argv -> command; no logic. The version comes first, because older Nodes fail later and in stranger ways. */
import process from "node:process";

const NODE_MAJOR_MIN = 24;

if (Number.parseInt(process.versions.node, 10) < NODE_MAJOR_MIN) {
  process.stderr.write(
    `error: tributary needs Node.js ${NODE_MAJOR_MIN} or newer, this is ${process.version}\n` +
      "hint:  `npx node@24 …`, or in the repository `npm start`, which brings its own\n",
  );
  process.exit(1);
}

const { startLean } = await import("./lean-memory.ts");
startLean(process);

const { processContext } = await import("./context.ts");
const { runCommandLine } = await import("./program.ts");

const context = processContext();
// A closed pipe shows where it is written to; without a listener it would end the process in between.
context.stdout.on("error", () => undefined);
const exitCode = await runCommandLine(process.argv.slice(2), context);
// Whatever a client library still holds open must not keep a finished command alive.
context.stdout.write("", () => context.stderr.write("", () => process.exit(exitCode)));
