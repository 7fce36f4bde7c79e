/** Asks a hub's HTTP listener, for what the Kafka protocol has no words for. */
import { StreamError } from "../../shared/errors.ts";

export const DEFAULT_HUB_URL = "http://127.0.0.1:7070";
const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** @throws StreamError HUB_UNREACHABLE. */
export async function fetchFromHub(hub: string, path: string): Promise<unknown> {
  const url = new URL(path, hub);
  let text: string;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: "error" });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    if (Number(response.headers.get("content-length") ?? 0) > ANSWER_BYTES_MAX)
      throw new Error("its answer is too long");
    text = await response.text();
    return JSON.parse(text) as unknown;
  } catch (error) {
    const reason = reasonOf(error);
    throw new StreamError("HUB_UNREACHABLE", `no hub at ${url.origin}: ${reason}`, {
      cause: error,
      hint: "Check the address, and that it is the hub's HTTP port: 7070 is HTTP, 9092 Kafka.",
    });
  }
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: string }; message: string };
  return cause?.code ?? message;
}

/** @throws Error unless `text` is an address such as http://hub.example:7070, or HOST:PORT. */
export function parseHubUrl(text: string): string {
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new Error(`'${text}' is no address such as ${DEFAULT_HUB_URL}`);
  }
  return url.origin;
}
