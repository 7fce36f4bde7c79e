import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { suite, test } from "node:test";
import { PASSWORD_LENGTH_MAX, askPassword } from "../../../bin/password-prompt.ts";

function terminal() {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const stderr = new PassThrough();
  return { stdin, stderr, shown: () => String(stderr.read() ?? "") };
}

const piped = (text: string) => ({ stdin: Readable.from([text]), stderr: new PassThrough() });

suite("password prompt", () => {
  test("what is typed on a terminal is taken after it was typed twice, and never shown", async () => {
    const { stdin, stderr, shown } = terminal();
    const asked = askPassword("alice", { stdin, stderr });
    stdin.write("pencil\r");
    stdin.write("pencil\r");
    assert.equal(await asked, "pencil");
    assert.equal(shown(), "Password of alice: \nOnce more: \n");
  });

  test("a slip of the finger can be taken back", async () => {
    const { stdin, stderr } = terminal();
    const asked = askPassword("alice", { stdin, stderr });
    stdin.write("pencilx\u007f\rpencil\r");
    assert.equal(await asked, "pencil");
  });

  test("two different passwords, Ctrl-C and Ctrl-D end it", async () => {
    for (const [typed, message] of [
      ["pencil\rpencip\r", /not the same/],
      ["pen\u0003", /no password/],
      ["\u0004", /no password/],
    ] as const) {
      const { stdin, stderr } = terminal();
      const asked = askPassword("alice", { stdin, stderr });
      stdin.write(typed);
      await assert.rejects(asked, { name: "UsageError", message });
    }
  });

  test("from a pipe it is the first line, whole", async () => {
    for (const text of ["  pen cil \nsecond\n", "  pen cil ", "  pen cil \r\n"]) {
      assert.equal(await askPassword("alice", piped(text)), "  pen cil ");
    }
    await assert.rejects(askPassword("alice", piped("")), { name: "UsageError" });
  });

  test("what is too long to be a password is none", async () => {
    const longest = "a".repeat(PASSWORD_LENGTH_MAX);
    assert.equal(await askPassword("alice", piped(longest)), longest);
    await assert.rejects(askPassword("alice", piped(`${longest}a`)), { name: "UsageError", message: /longer than/ });
  });
});
