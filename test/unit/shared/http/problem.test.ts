import assert from "node:assert/strict";
import { test } from "node:test";
import { StreamError, errorTable } from "../../../../shared/errors.ts";
import type { ErrorCode } from "../../../../shared/errors.ts";
import { problemOf, toProblem } from "../../../../shared/http/problem.ts";

test("problem: an error of ours -> its code, title, detail and hint", () => {
  assert.deepEqual(problemOf(new StreamError("TOPIC_ALREADY_EXISTS", "topic readings exists")), {
    type: "urn:tributary:error:TOPIC_ALREADY_EXISTS",
    title: "A topic of this name exists.",
    status: 409,
    detail: "topic readings exists",
    code: "TOPIC_ALREADY_EXISTS",
    hint: "Use it, delete it first, or choose another name.",
    retriable: false,
  });
});

test("problem: every code has a status of an error", () => {
  for (const code of Object.keys(errorTable) as ErrorCode[]) {
    const { status } = toProblem(new StreamError(code, "x"));
    assert.ok(status >= 400 && status < 600, `${code} -> ${status}`);
  }
});

test("problem: what the framework refused keeps its status and gets a code of ours", () => {
  const refused = (statusCode: number) => problemOf(Object.assign(new Error("no"), { statusCode }));
  assert.deepEqual([refused(400).status, refused(400).code], [400, "INVALID_REQUEST"]);
  assert.deepEqual([refused(413).status, refused(413).code], [413, "MESSAGE_TOO_LARGE"]);
  assert.deepEqual([refused(415).status, refused(415).code], [415, "INVALID_REQUEST"]);
});

test("problem: what nobody expected tells nothing of the inside", () => {
  const problem = problemOf(new Error("SELECT * FROM secret"));
  assert.equal(problem.status, 500);
  assert.equal(problem.code, "UNEXPECTED");
  assert.ok(!JSON.stringify(problem).includes("secret"));
});
