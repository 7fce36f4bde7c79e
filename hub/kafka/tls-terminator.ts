/**
 * Turns an accepted connection into one over TLS. The first byte is looked at before: a client without TLS is told apart
 * from a broken handshake, and whoever says nothing costs no TLS state.
 *
 *   accepted ──▶ first byte ──0x16──▶ handshake ──▶ secured          all within `handshakeMsMax`
 */
import type { Socket } from "node:net";
import { createServer } from "node:tls";
import type { Server, TLSSocket } from "node:tls";
import { StreamError } from "../../shared/errors.ts";
import type { Certificate } from "../access/certificate.ts";

const TLS_HANDSHAKE = 0x16;
const VERSION_MIN = "TLSv1.2";

type Pending = { readonly resolve: (socket: TLSSocket) => void; readonly reject: (error: StreamError) => void };

export class TlsTerminator {
  readonly #handshakeMsMax: number;
  /** Listens nowhere: it is handed the connections. */
  readonly #server: Server;
  /** By both ends' addresses: all that Node tells of whose handshake has ended. */
  readonly #pending = new Map<string, Pending>();

  constructor({ cert, key }: Certificate, handshakeMsMax: number) {
    this.#handshakeMsMax = handshakeMsMax;
    this.#server = createServer({ cert, key, minVersion: VERSION_MIN });
    this.#server.on("secureConnection", (socket) => {
      const pending = this.#pending.get(endsOf(socket));
      if (pending === undefined) socket.destroy();
      else pending.resolve(socket);
    });
    this.#server.on("tlsClientError", (error, socket) => {
      this.#pending.get(endsOf(socket))?.reject(handshakeFailed(error));
    });
  }

  /** For the handshakes that begin from now on. */
  use({ cert, key }: Certificate): void {
    this.#server.setSecureContext({ cert, key, minVersion: VERSION_MIN });
  }

  /**
   * Resolves with undefined when the client goes without having said anything, as a probe of a port does.
   *
   * @throws StreamError PROTOCOL_VIOLATION or TIMEOUT; the connection is for the caller to close.
   */
  secure(socket: Socket): Promise<TLSSocket | undefined> {
    const ends = endsOf(socket);
    return new Promise<TLSSocket | undefined>((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timeout);
        socket.off("close", onClose);
        this.#pending.delete(ends);
      };
      const fail = (error: StreamError): void => {
        settle();
        reject(error);
      };
      const onClose = (): void => {
        if (socket.bytesRead > 0) {
          fail(new StreamError("PROTOCOL_VIOLATION", "the client went away during the TLS handshake"));
        } else {
          settle();
          resolve(undefined);
        }
      };
      const timeout = setTimeout(() => {
        fail(new StreamError("TIMEOUT", `handshakeMsMax: no TLS handshake within ${this.#handshakeMsMax} ms`));
      }, this.#handshakeMsMax);
      this.#pending.set(ends, {
        resolve: (secured) => {
          settle();
          resolve(secured);
        },
        reject: fail,
      });
      socket.once("close", onClose);
      socket.on("error", () => socket.destroy());
      socket.once("data", (first: Buffer) => {
        socket.pause();
        if (first[0] === TLS_HANDSHAKE) {
          // What was read is handed on with the socket.
          socket.unshift(first);
          this.#server.emit("connection", socket);
        } else {
          fail(new StreamError("PROTOCOL_VIOLATION", `the client speaks ${nameOf(first)} on a listener with TLS`));
        }
      });
    });
  }
}

function endsOf(socket: Socket): string {
  return `${socket.localAddress} ${socket.remoteAddress} ${socket.remotePort}`;
}

function nameOf(first: Buffer): string {
  return /^[A-Z]{3,7} /.test(first.toString("latin1", 0, 8))
    ? "HTTP without TLS"
    : "Kafka, or something else, without TLS";
}

function handshakeFailed(error: Error & { readonly code?: string }): StreamError {
  const message = `the TLS handshake failed: ${error.code ?? error.message}`;
  return new StreamError("PROTOCOL_VIOLATION", message, { cause: error });
}
