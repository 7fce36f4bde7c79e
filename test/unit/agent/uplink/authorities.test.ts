import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { AUTHORITIES_BYTES_MAX, readAuthorities } from "../../../../agent/uplink/authorities.ts";
import { StreamError } from "../../../../shared/errors.ts";
import { tempDir } from "../../../support/temp-dir.ts";
import { testCertificate } from "../../../support/test-certificate.ts";

const { cert, key } = await testCertificate();

test("authorities: every certificate of the file, whatever stands between them", async (t) => {
  const file = path.join(tempDir(t), "ca.pem");
  writeFileSync(file, `Subject: one\n${cert}\nSubject: two – two\n${cert.replaceAll("\n", "\r\n")}\n`);
  assert.equal((await readAuthorities(file)).length, 2);
});

const rows = [
  { name: "nothing", content: "", says: /holds no certificate/ },
  { name: "a key", content: key, says: /holds no certificate/ },
  { name: "a cut certificate", content: cert.slice(0, 100), says: /holds no certificate/ },
  { name: "a damaged one behind a good one", content: cert + cert.replace("MII", "AAA"), says: /certificate 2 in/ },
  { name: "a file that is too long", content: " ".repeat(AUTHORITIES_BYTES_MAX + 1), says: /larger than 1048576/ },
];

for (const { name, content, says } of rows) {
  test(`authorities: ${name} -> CERTIFICATE_INVALID, which names the file`, async (t) => {
    const file = path.join(tempDir(t), "ca.pem");
    writeFileSync(file, content);
    await assert.rejects(readAuthorities(file), (error) => {
      assert.ok(error instanceof StreamError && error.code === "CERTIFICATE_INVALID");
      assert.match(error.message, says);
      assert.ok(error.message.includes(file));
      return true;
    });
  });
}

test("authorities: no file, a directory -> CERTIFICATE_INVALID", async (t) => {
  const directory = tempDir(t);
  await assert.rejects(readAuthorities(path.join(directory, "none")), /no such file/);
  await assert.rejects(readAuthorities(directory), /it is a directory/);
});
