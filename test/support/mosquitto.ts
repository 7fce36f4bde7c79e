/** A real mosquitto on a free loopback port, with persistence in `directory`. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { onCleanUp } from "./clean-up.ts";
import type { After } from "./clean-up.ts";

const PROGRAMS = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto"];

export async function startMosquitto(
  t: After,
  directory: string,
  options: { readonly port?: number; readonly user?: { readonly name: string; readonly password: string } } = {},
) {
  const program = PROGRAMS.find((file) => existsSync(file));
  if (program === undefined) {
    throw new Error(
      `mosquitto is not installed (looked for ${PROGRAMS.join(", ")}); on Debian: apt-get install mosquitto`,
    );
  }
  const port = options.port ?? (await freePort());
  const lines = [`listener ${port} 127.0.0.1`, "persistence true", `persistence_location ${directory}/`];
  // Started as root, mosquitto would become another user, who cannot write here.
  if (process.getuid?.() === 0) lines.push("user root");
  if (options.user === undefined) lines.push("allow_anonymous true");
  else {
    const passwords = path.join(directory, "passwords");
    writeFileSync(passwords, `${options.user.name}:${options.user.password}\n`, { mode: 0o600 });
    execFileSync(path.join(path.dirname(program), "../bin/mosquitto_passwd"), ["-U", passwords]);
    lines.push("allow_anonymous false", `password_file ${passwords}`);
  }
  const file = path.join(directory, "mosquitto.conf");
  writeFileSync(file, `${lines.join("\n")}\n`);
  const child = spawn(program, ["-c", file], { stdio: "ignore" });
  const exited = once(child, "exit");
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await exited;
  };
  onCleanUp(t, stop);
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`mosquitto ended with ${child.exitCode}`);
  }
  return { port, url: `mqtt://127.0.0.1:${port}`, stop };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
