/** Asks the hub's HTTP API, and holds every answer against the OpenAPI document that the hub itself gives out. */
import assert from "node:assert/strict";
import { Compile } from "typebox/compile";
import type { TSchema } from "typebox";

const PREFIX = "/api/v1";

type Media = Readonly<Record<string, { readonly schema?: TSchema }>>;
type Operation = {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { readonly content?: Media }>>;
};
type OpenApi = { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> };

export type Ask = {
  readonly method?: string;
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly raw?: string | Uint8Array;
  readonly type?: string;
  readonly user?: string;
};
/** Whatever JSON came: the test that asks says what it expects. */
// oxlint-disable-next-line typescript/no-explicit-any -- its shape is checked against the document
type Body = any;
export type Answer = { readonly status: number; readonly headers: Headers; readonly body: Body };

export class HttpClient {
  /** Of the API. */
  readonly url: string;
  readonly #document: OpenApi;
  /** Operations that were asked for. */
  readonly asked = new Set<string>();

  private constructor(url: string, document: OpenApi) {
    this.url = `${url}${PREFIX}`;
    this.#document = document;
  }

  /** `url`: such as http://127.0.0.1:7070. */
  static async open(url: string): Promise<HttpClient> {
    return new HttpClient(url, (await (await fetch(`${url}/openapi.json`)).json()) as OpenApi);
  }

  get document(): OpenApi {
    return this.#document;
  }

  get operations(): readonly string[] {
    return Object.values(this.#document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => operationId),
    );
  }

  /** `path` is below /api/v1. */
  async ask(path: string, { method, body, raw, type = "application/json", user }: Ask = {}): Promise<Answer> {
    const sent = raw ?? (body === undefined ? undefined : JSON.stringify(body));
    const verb = method ?? (sent === undefined ? "GET" : "POST");
    const response = await fetch(`${this.url}${path}`, {
      method: verb,
      headers: {
        ...(sent === undefined ? {} : { "content-type": type }),
        ...(user === undefined ? {} : { authorization: `Basic ${Buffer.from(user).toString("base64")}` }),
      },
      ...(sent === undefined ? {} : { body: sent }),
    });
    const text = await response.text();
    const answer = { status: response.status, headers: response.headers, body: text === "" ? null : JSON.parse(text) };
    this.#check(`${PREFIX}${path.split("?", 1)[0]}`, verb, answer);
    return answer;
  }

  #check(path: string, method: string, { status, headers, body }: Answer): void {
    const operation = this.#operationAt(path, method);
    if (operation === undefined) return assert.equal(status, 404, `${method} ${path} is not in the document`);
    this.asked.add(operation.operationId);
    const response = operation.responses[status] ?? operation.responses["default"];
    const type = headers.get("content-type")?.split(";", 1)[0] ?? "";
    const schema = response?.content?.[type]?.schema;
    if (body === null) return assert.equal(response?.content, undefined, `${operation.operationId} ${status}`);
    assert.ok(schema, `${operation.operationId} ${status} ${type} is not in the document`);
    const check = Compile(schema);
    assert.deepEqual([...check.Errors(body)].slice(0, 3), [], `${operation.operationId} ${status}`);
  }

  #operationAt(path: string, method: string): Operation | undefined {
    for (const [template, methods] of Object.entries(this.#document.paths)) {
      const pattern = new RegExp(`^${template.replaceAll(".", "\\.").replaceAll(/\{[^}]+\}/g, "[^/]+")}$`);
      const operation = methods[method.toLowerCase()];
      if (pattern.test(path) && operation !== undefined) return operation;
    }
    return undefined;
  }
}
