import { WebSocket } from "ws";
import { StreamError } from "../errors.ts";

/** Pings are sent and silence is looked at so many times within the longest silence that is allowed. */
const CHECKS_PER_SILENCE = 3;

/**
 * Notices a peer that is gone without a word (a dead radio link, a router that lost its table): asks for a sign of life
 * and ends the connection when none comes within `silenceMsMax`.
 */
export class Watchdog {
  readonly #timer: NodeJS.Timeout;
  #isHeard = true;
  #silentChecks = 0;

  constructor(options: {
    readonly silenceMsMax: number;
    readonly socket: WebSocket;
    /** As people call it. */
    readonly peer: string;
    readonly end: (error: StreamError) => void;
  }) {
    const { silenceMsMax, socket, peer, end } = options;
    this.#timer = setInterval(() => {
      this.#silentChecks = this.#isHeard ? 0 : this.#silentChecks + 1;
      this.#isHeard = false;
      if (this.#silentChecks >= CHECKS_PER_SILENCE - 1) {
        end(new StreamError("TIMEOUT", `nothing was heard from ${peer} for ${silenceMsMax} ms`));
      } else if (socket.readyState === WebSocket.OPEN) {
        socket.ping();
      }
    }, silenceMsMax / CHECKS_PER_SILENCE);
    this.#timer.unref();
    socket.on("pong", () => this.heard());
    socket.on("ping", () => this.heard());
  }

  heard(): void {
    this.#isHeard = true;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
