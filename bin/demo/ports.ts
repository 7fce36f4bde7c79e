import { createServer } from "node:net";

/** The wanted port if nothing listens there, otherwise 0, which takes any free one. */
export function portOrAnyOther(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(0);
      else reject(error);
    });
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(port)));
  });
}
