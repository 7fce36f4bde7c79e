/**
 * MQTT over WebSocket [MQTT-6]: subprotocol `mqtt`, binary frames only, the frames' boundaries mean nothing.
 *
 * A browser sends along the origin of the page that connects, and any page can try the listener of the machine it is
 * shown on; so an origin must be one of those allowed. Programs that are no browsers send none.
 */
import { createServer } from "node:http";
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { createWebSocketStream, WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import type { MqttLimits } from "./limits.ts";

const SUBPROTOCOL = "mqtt";
/** "Unsupported data": a text frame. */
const CLOSE_UNSUPPORTED_DATA = 1003;
/** Fixed header of a packet, at its longest. */
const FIXED_HEADER_BYTES_MAX = 5;

export type WebSocketServerOptions = {
  readonly limits: MqttLimits;
  readonly allowedOrigins: readonly string[];
  readonly accept: (connection: Duplex, request: IncomingMessage) => void;
};

/** An HTTP server that knows nothing but the upgrade. The caller judges its connections and listens. */
export function createMqttWebSocketServer({ limits, allowedOrigins, accept }: WebSocketServerOptions): Server {
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // ws holds a message until it is complete, so this bounds what a connection can make it hold.
    maxPayload: limits.packetBytesMax + FIXED_HEADER_BYTES_MAX,
    handleProtocols: (protocols) => (protocols.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  });
  const server = createServer({
    headersTimeout: limits.connectTimeoutMs,
    requestTimeout: limits.connectTimeoutMs,
    connectionsCheckingInterval: limits.connectTimeoutMs,
  });
  server.on("request", (_request, response) => {
    response.writeHead(426, { Connection: "close", Upgrade: "websocket" }).end();
  });
  server.on("upgrade", (request, socket, head) => {
    const status = judgeUpgrade(request, allowedOrigins);
    if (status !== undefined) {
      socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
      return;
    }
    webSockets.handleUpgrade(request, socket, head, (webSocket) => accept(toConnection(webSocket), request));
  });
  return server;
}

function judgeUpgrade(request: IncomingMessage, allowedOrigins: readonly string[]): string | undefined {
  const { origin } = request.headers;
  if (origin !== undefined && !allowedOrigins.includes(origin)) return "403 Forbidden";
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  return offered.includes(SUBPROTOCOL) ? undefined : "400 Bad Request";
}

function toConnection(webSocket: WebSocket): Duplex {
  webSocket.on("message", (_data, isBinary) => {
    if (!isBinary) webSocket.close(CLOSE_UNSUPPORTED_DATA);
  });
  return createWebSocketStream(webSocket);
}
