/** The machine's only name server, inside a lab: answers as a test says, or not at all. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { onCleanUp } from "../../support/clean-up.ts";
import type { After } from "../../support/clean-up.ts";
import { tempDir } from "../../support/temp-dir.ts";
import { isInLab } from "./lab.ts";

const HOST = "127.0.0.1";
const PORT = 53;
const HEAD_BYTES = 12;
/** RFC 1035, section 4.1.1: response, recursion desired and available; and the codes of its last four bits. */
const FLAGS = 0x8180;
const CODE_UNKNOWN_NAME = 3;
const TYPE_A = 1;
const CLASS_IN = 1;
const TTL_SECONDS = 0;
/** The name of the question, which begins after the head (section 4.1.4). */
const POINTER_TO_QUESTION = 0xc000 | HEAD_BYTES;

/** An IPv4 address for every name there is. */
export type NameAnswer = "unknown" | "silence" | { readonly address: string };

/** From here on the programs inside ask at HOST, where nobody answers yet. */
export function useNameServer(t: After): void {
  assert.ok(isInLab(), "never for the machine itself");
  const directory = tempDir(t);
  const files = {
    "/etc/resolv.conf": `nameserver ${HOST}\noptions timeout:2 attempts:1\n`,
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
  };
  for (const [file, text] of Object.entries(files)) {
    const own = path.join(directory, path.basename(file));
    writeFileSync(own, text);
    // In the lab's own table of mounts.
    execFileSync("mount", ["--bind", own, file]);
  }
}

export class NameServer {
  answer: NameAnswer = "silence";
  /** Questions heard. */
  asked = 0;

  static async start(t: After): Promise<NameServer> {
    const server = new NameServer();
    const socket = createSocket("udp4");
    onCleanUp(t, () => socket.close());
    socket.on("message", (question, { address, port }) => {
      server.asked++;
      const { answer } = server;
      if (answer !== "silence") socket.send(reply(question, answer), port, address);
    });
    await new Promise<void>((resolve) => socket.bind(PORT, HOST, resolve));
    return server;
  }
}

function reply(question: Buffer, answer: Exclude<NameAnswer, "silence">): Buffer {
  const nameEnd = question.indexOf(0, HEAD_BYTES) + 1;
  const questionEnd = nameEnd + 4;
  const isForAddress = answer !== "unknown" && question.readUInt16BE(nameEnd) === TYPE_A;
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt16BE(question.readUInt16BE(0), 0);
  head.writeUInt16BE(answer === "unknown" ? FLAGS | CODE_UNKNOWN_NAME : FLAGS, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(isForAddress ? 1 : 0, 6);
  const parts = [head, question.subarray(HEAD_BYTES, questionEnd)];
  if (isForAddress) parts.push(addressRecord(answer.address));
  return Buffer.concat(parts);
}

function addressRecord(address: string): Buffer {
  const record = Buffer.alloc(16);
  record.writeUInt16BE(POINTER_TO_QUESTION, 0);
  record.writeUInt16BE(TYPE_A, 2);
  record.writeUInt16BE(CLASS_IN, 4);
  record.writeUInt32BE(TTL_SECONDS, 6);
  const bytes = address.split(".").map(Number);
  record.writeUInt16BE(bytes.length, 10);
  record.set(bytes, 12);
  return record;
}
