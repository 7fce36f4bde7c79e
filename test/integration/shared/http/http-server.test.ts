import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { HttpServer } from "../../../../shared/http/http-server.ts";
import type { HttpServerOptions } from "../../../../shared/http/http-server.ts";
import { silentLogger } from "../../../../shared/logger.ts";
import { onCleanUp } from "../../../support/clean-up.ts";

async function start(t: TestContext, over: Partial<HttpServerOptions> = {}) {
  const server = new HttpServer({ host: "127.0.0.1", port: 0, name: "the listener", logger: silentLogger(), ...over });
  server.app.get("/hello", () => ({ hello: "world" }));
  server.app.post("/echo", (request) => request.body);
  server.app.get("/broken", () => {
    throw new Error("SELECT * FROM secret");
  });
  const { port } = await server.start();
  onCleanUp(t, () => server.close());
  return { server, port, url: `http://127.0.0.1:${port}` };
}

/** Everything the server says until it closes the connection. */
async function answer(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await once(socket, "close");
  return text;
}

test("http server: answers with security headers, errors too", async (t) => {
  const { url } = await start(t);
  for (const path of ["/hello", "/nothing", "/broken"]) {
    const { headers } = await fetch(`${url}${path}`);
    assert.match(headers.get("content-security-policy") ?? "", /^default-src 'none'/, path);
    assert.equal(headers.get("x-content-type-options"), "nosniff", path);
    assert.equal(headers.get("referrer-policy"), "no-referrer", path);
  }
});

test("http server: an unknown address and a wrong method are problems with a code", async (t) => {
  const { url } = await start(t);
  const response = await fetch(`${url}/nothing?token=secret`, { method: "DELETE" });
  assert.equal(response.status, 404);
  assert.match(response.headers.get("content-type") ?? "", /^application\/problem\+json/);
  const problem = (await response.json()) as { code: string; detail: string };
  assert.deepEqual([problem.code, problem.detail], ["NOT_FOUND", "there is no DELETE /nothing"]);
});

test("http server: what a handler threw unexpectedly is not shown", async (t) => {
  const { url } = await start(t);
  const response = await fetch(`${url}/broken`);
  assert.equal(response.status, 500);
  assert.ok(!(await response.text()).includes("secret"));
});

test("http server: a body over the limit is refused with 413, broken JSON with 400", async (t) => {
  const { url } = await start(t, { limits: { bodyBytesMax: 100 } });
  const post = (body: string) =>
    fetch(`${url}/echo`, { method: "POST", body, headers: { "content-type": "application/json" } });
  const large = await post(JSON.stringify("x".repeat(100)));
  assert.equal(large.status, 413);
  assert.equal(((await large.json()) as { code: string }).code, "MESSAGE_TOO_LARGE");
  const broken = await post("{");
  assert.equal(broken.status, 400);
  assert.equal(((await broken.json()) as { code: string }).code, "INVALID_REQUEST");
});

test("http server: headers over the limit are refused with 431", async (t) => {
  const { port } = await start(t);
  const socket = connect(port, "127.0.0.1");
  socket.write(`GET /hello HTTP/1.1\r\nhost: x\r\nx-long: ${"x".repeat(9000)}\r\n\r\n`);
  assert.match(await answer(socket), /^HTTP\/1\.1 431 [\s\S]*INVALID_REQUEST/);
});

test("http server: bytes that are no HTTP get 400 and the connection is closed", async (t) => {
  const { port } = await start(t);
  const socket = connect(port, "127.0.0.1");
  socket.write("\x16\x03\x01\x02\x00\r\n\r\n");
  assert.match(await answer(socket), /^HTTP\/1\.1 400 /);
});

test("http server: headers that do not come to an end in time are cut off", async (t) => {
  const { port } = await start(t, { limits: { headersTimeoutMs: 50, requestTimeoutMs: 100, timeoutCheckMs: 20 } });
  const socket = connect(port, "127.0.0.1");
  socket.write("GET /hello HTTP/1.1\r\nhost: x\r\n");
  assert.match(await answer(socket), /^HTTP\/1\.1 408 /);
});

test("http server: connections over the limit are dropped, others served", async (t) => {
  const { port } = await start(t, { limits: { connectionsMax: 1 } });
  const first = connect(port, "127.0.0.1");
  await once(first, "connect");
  const second = connect(port, "127.0.0.1");
  second.on("error", () => {});
  await once(second, "close");
  first.write("GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
  assert.match(await answer(first), /^HTTP\/1\.1 200 /);
});

test("http server: an address in use -> PORT_IN_USE, one that is not ours -> CONFIG_INVALID", async (t) => {
  const { port } = await start(t);
  const options = { host: "127.0.0.1", port, name: "the listener", logger: silentLogger() };
  const second = new HttpServer(options);
  onCleanUp(t, () => second.close());
  await assert.rejects(second.start(), { code: "PORT_IN_USE", message: /the listener cannot have 127\.0\.0\.1:\d+/ });
  const elsewhere = new HttpServer({ ...options, host: "192.0.2.1" });
  onCleanUp(t, () => elsewhere.close());
  await assert.rejects(elsewhere.start(), { code: "CONFIG_INVALID" });
});

const handshake = (path: string, upgrade: string): string =>
  `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: ${upgrade}\r\n\r\n`;

test("http server: a WebSocket handshake goes to the handler of its path, query or not", async (t) => {
  const upgrades = new Map([
    ["/up", (_request: unknown, socket: { end(text: string): void }) => socket.end("HTTP/1.1 101 Mine\r\n\r\n")],
  ]);
  const { port } = await start(t, { upgrades });
  const socket = connect(port, "127.0.0.1");
  socket.write(handshake("/up?x=1", "WebSocket"));
  assert.match(await answer(socket), /^HTTP\/1\.1 101 Mine/);
});

test("http server: a WebSocket handshake anywhere else is refused with 404", async (t) => {
  const { port } = await start(t);
  const socket = connect(port, "127.0.0.1");
  socket.write(handshake("/hello", "websocket"));
  assert.match(await answer(socket), /^HTTP\/1\.1 404 [\s\S]*NOT_FOUND/);
});

test("http server: another upgrade that a client offers does not keep it from its answer", async (t) => {
  const { port } = await start(t);
  const socket = connect(port, "127.0.0.1");
  socket.write(handshake("/hello", "h2c").replace("Upgrade\r\n", "Upgrade, close\r\n"));
  assert.match(await answer(socket), /^HTTP\/1\.1 200 [\s\S]*world/);
});

test("http server: close ends, although a request hangs and a WebSocket stays open", async (t) => {
  const upgrades = new Map([["/up", () => {}]]);
  const { server, port } = await start(t, { upgrades, limits: { closeMsMax: 50 } });
  const asked = once(server.app.server, "request");
  const hanging = connect(port, "127.0.0.1");
  hanging.write("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\ncontent-type: application/json\r\n\r\n{");
  await asked;
  const upgraded = once(server.app.server, "upgrade");
  const webSocket = connect(port, "127.0.0.1");
  webSocket.write(handshake("/up", "websocket"));
  await upgraded;
  hanging.on("error", () => {});
  webSocket.on("error", () => {});
  assert.equal(server.connectionCount, 2);
  await Promise.all([server.close(), once(hanging, "close"), once(webSocket, "close")]);
});
