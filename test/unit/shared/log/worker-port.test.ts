import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessagePort } from "node:worker_threads";
import type { FromWorker } from "../../../../shared/log/log-messages.ts";
import { ANSWER_BYTES_MAX, answer } from "../../../../shared/log/worker-port.ts";

type Posted = { readonly message: FromWorker; readonly transfer: readonly unknown[] };

function portInto(posted: Posted[]): MessagePort {
  const postMessage = (message: FromWorker, transfer: readonly unknown[]): void => {
    posted.push({ message, transfer });
  };
  return { postMessage } as unknown as MessagePort;
}

const idsOf = ({ message }: Posted): number[] =>
  message.type === "answers" ? message.answers.map(({ id }) => id) : [];
const batchOf = (bytes: number) => ({ batch: Buffer.from(new ArrayBuffer(bytes)) });

test("worker port: small answers go together, each with its memory; a failure is one of them", () => {
  const posted: Posted[] = [];
  const small = [batchOf(10), batchOf(20)] as const;
  const failures = answer(portInto(posted), [
    { id: 1, run: () => small[0] },
    {
      id: 2,
      run: () => {
        throw Object.assign(new Error("bad page"), { code: "SQLITE_CORRUPT" });
      },
    },
    { id: 3, run: () => small[1] },
    { id: 4, run: () => undefined },
  ]);
  assert.deepEqual(posted.map(idsOf), [[1, 2, 3, 4]]);
  assert.deepEqual(posted[0]?.transfer, [small[0].batch.buffer, small[1].batch.buffer]);
  assert.deepEqual(
    failures.map(({ code }) => code),
    ["LOG_CORRUPT"],
  );
});

test("worker port: an answer of many bytes waits for no other", () => {
  const posted: Posted[] = [];
  const large = { id: 2, run: () => batchOf(ANSWER_BYTES_MAX) };
  answer(portInto(posted), [{ id: 1, run: () => batchOf(1) }, large, { id: 3, run: () => batchOf(1) }]);
  assert.deepEqual(posted.map(idsOf), [[1, 2], [3]]);
});
