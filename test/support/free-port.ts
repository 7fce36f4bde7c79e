/** A port that a program can take again after it was killed. */
import { createServer } from "node:net";

const HOST = "127.0.0.1";
/**
 * Below what Linux gives to outgoing connections (net.ipv4.ip_local_port_range, 32768 and up). While a killed program is
 * away, its clients go on connecting: from that range one of them could be given the program's own port as its source,
 * and would then hold the port, or even connect to itself.
 */
const FIRST_PORT = 20_000;
const END_PORT = 32_000;
const ATTEMPTS_MAX = 50;

export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const port = FIRST_PORT + Math.floor(Math.random() * (END_PORT - FIRST_PORT));
    if (await canListen(port)) return port;
  }
  throw new Error(`no free port between ${FIRST_PORT} and ${END_PORT} after ${ATTEMPTS_MAX} attempts`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, HOST, () => server.close(() => resolve(true)));
  });
}
